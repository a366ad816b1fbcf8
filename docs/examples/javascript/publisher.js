// A create flow of threads in Node: claim first, then publish by Google's client.
//
//     npm ci
//     REGISTRY_URL=http://127.0.0.1:8080 GOOGLE_CLOUD_PROJECT=… OUTBOX=outbox node publisher.js t_acme th_1
//     … node publisher.js            # publishes what an earlier run left
//
// The event lies in an outbox before anything else happens: whatever crashes after
// that, the next run publishes it. Here that is a directory; take a table of your own
// database, written in the transaction that creates the thread.

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PubSub } from '@google-cloud/pubsub'

const { REGISTRY_URL = 'http://127.0.0.1:8080', REGISTRY_API_TOKEN, REGISTRY_CLAIM_TOKEN, OUTBOX } = process.env
const TENANT = /^t_[a-z0-9_-]{1,126}$/
const THREAD = /^[A-Za-z0-9][A-Za-z0-9._~:@+=-]{0,255}$/
const WITHIN = 5_000 // ms that the registry, or Pub/Sub, may take

/** Another tenant owns this id, or an id breaks its pattern: repeating does not help. */
class Refused extends Error {}

/** Makes the tenant the thread's owner. When it returns, the client may connect. */
async function createThread(tenant, thread) {
  if (!TENANT.test(tenant) || !THREAD.test(thread)) throw new Refused(`${JSON.stringify([tenant, thread])} breaks the pattern of tenants or of threads`)
  const file = join(OUTBOX, encodeURIComponent(thread))
  const event = { tenant, thread, time: new Date().toISOString() }
  try {
    writeFileSync(file + '.new', JSON.stringify(event), { flush: true })
    renameSync(file + '.new', file)
    await claim(tenant, thread)
  } catch (error) {
    if (error instanceof Refused) rmSync(file)
    throw error
  }
}

async function claim(tenant, thread) {
  const token = REGISTRY_CLAIM_TOKEN ?? REGISTRY_API_TOKEN
  const answer = await fetch(`${REGISTRY_URL}/v1/threads/${encodeURIComponent(thread)}`, {
    method: 'PUT',
    headers: { 'X-Tenant-Id': tenant, ...(token && { Authorization: `Bearer ${token}` }) },
    signal: AbortSignal.timeout(WITHIN),
  })
  await answer.arrayBuffer()
  if (answer.headers.get('X-Registry-Asked') !== `${tenant} thread/${thread}`) throw new Error(`the answer ${answer.status} is not the registry's: look at REGISTRY_URL`)
  if (answer.status === 409) throw new Refused(`${thread} is another tenant's`)
  if (answer.status !== 201 && answer.status !== 204) throw new Error(`the registry answered ${answer.status}`)
}

/** Publishes what was not confirmed yet. Twice is harmless: same source, same id. */
async function publishOutbox(topic) {
  for (const name of readdirSync(OUTBOX).filter(name => !name.endsWith('.new'))) {
    const event = JSON.parse(readFileSync(join(OUTBOX, name)))
    await within(publish(topic, event))
    rmSync(join(OUTBOX, name))
  }
}

function publish(topic, { tenant, thread, time }) {
  return topic.publishMessage({
    attributes: {
      'ce-specversion': '1.0',
      'ce-id': `thread-created-${thread}`, // the same at every try
      'ce-source': '//nexus/threads',
      'ce-type': 'nexus.thread.created.v1',
      'ce-time': time,
      'content-type': 'application/json',
    },
    json: { tenant_id: tenant, thread_id: thread },
  })
}

/** Google's client tries for ten minutes. */
function within(promise) {
  return Promise.race([promise, new Promise((_, reject) => setTimeout(reject, WITHIN, new Error('Pub/Sub does not answer')))])
}

async function main(tenant, thread) {
  if (!OUTBOX) throw new Error('OUTBOX is not set: want a directory that outlives a crash')
  mkdirSync(OUTBOX, { recursive: true })
  if (thread !== undefined) {
    await createThread(tenant, thread)
    console.log(`${thread} is ${tenant}'s: answer the client`)
  }
  await publishOutbox(new PubSub().topic('nexus-thread-created'))
}

main(...process.argv.slice(2)).then(() => process.exit(0), error => {
  console.error(error instanceof Refused ? error.message : `${error.message}: the event waits in the outbox`)
  process.exit(1)
})
