#!/usr/bin/env bash
# Installs the official emulators and Java where apt or gcloud can, and else says
# exactly what to type. It asks for no password: where it is not root and sudo
# would ask, it says what to type.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly packages=(google-cloud-cli google-cloud-cli-firestore-emulator google-cloud-cli-pubsub-emulator default-jre-headless)
readonly components=(cloud-firestore-emulator pubsub-emulator)

installed() { go run ./emulator/cmd/emulators --check; }

if installed 2>/dev/null; then
  echo "the emulators are installed"
  exit 0
fi

as_root() {
  if [[ "$(id -u)" == 0 ]]; then "$@"; else sudo -n "$@"; fi
}

can_be_root() { [[ "$(id -u)" == 0 ]] || { command -v sudo && sudo -n true; } >/dev/null 2>&1; }

with_apt() {
  command -v apt-get >/dev/null && can_be_root || return 1
  as_root apt-get update || true # a source of somebody else's may be down
  apt-cache show "${packages[@]}" >/dev/null 2>&1 || return 1
  as_root apt-get install --yes --no-install-recommends "${packages[@]}"
}

# gcloud from a package has its component manager switched off, and fails here.
with_gcloud() {
  command -v gcloud >/dev/null && gcloud components install --quiet "${components[@]}"
}

with_apt || with_gcloud || true
if ! missing="$(installed 2>&1)"; then
  {
    echo "could not install the emulators"
    echo "$missing"
  } >&2
  exit 1
fi
echo "the emulators are installed"
