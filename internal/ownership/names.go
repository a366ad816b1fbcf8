package ownership

// Names are cut between the bytes of printable ASCII, of which ids are made.
const (
	firstDigit = ' '
	lastDigit  = '~'
	digits     = lastDigit - firstDigit + 1
	// Behind what two names have in common, so many bytes decide where to cut.
	precision = 6
)

// NameBetween returns a name of documents in the middle of two, of which the second
// may be "", which is behind all names. ok is false if it finds none.
func NameBetween(after, upTo string) (name string, ok bool) {
	common := 0
	for upTo != "" && common < min(len(after), len(upTo)) && after[common] == upTo[common] {
		common++
	}
	low, high := number(after, common), number(upTo, common)
	if upTo == "" {
		high = power(precision) - 1
	}
	if high <= low+1 {
		return "", false
	}
	middle := low + (high-low)/2
	text := make([]byte, precision)
	for i := precision - 1; i >= 0; i-- {
		text[i] = byte(firstDigit + middle%digits)
		if text[i] == '/' { // ends a name
			text[i]++
		}
		middle /= digits
	}
	name = after[:common] + string(text)
	return name, after < name && (upTo == "" || name < upTo)
}

// number is what a name has behind its first bytes, as a number.
func number(name string, from int) (n uint64) {
	for i := range precision {
		digit := uint64(0)
		if from+i < len(name) {
			digit = uint64(min(max(name[from+i], firstDigit), lastDigit) - firstDigit)
		}
		n = n*digits + digit
	}
	return n
}

func power(n int) uint64 {
	p := uint64(1)
	for range n {
		p *= digits
	}
	return p
}
