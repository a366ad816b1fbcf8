// Package spelling finds the word that was probably meant by a misspelt one. It is
// pure.
package spelling

// maxBytes bounds the names that are compared, since the time is the product of
// both lengths.
const maxBytes = 64

// Distance returns how many bytes of a must be changed, left out or put in until
// it is b (Levenshtein's distance). That of a name longer than 64 bytes is the
// length of the longer one.
func Distance(a, b string) int {
	if len(a) > maxBytes || len(b) > maxBytes {
		return max(len(a), len(b))
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
