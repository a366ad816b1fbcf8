package ownership

import "fmt"

// PanicError is why an outcome is Failed that a panic ended: a defect, which
// trying again does not mend. Nothing was committed.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprint(e.Value) }
