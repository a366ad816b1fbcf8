package ownership

import "fmt"

// PanicError is the error of an outcome that is Failed because of a panic: a
// defect, which trying again does not fix. Nothing was committed.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprint(e.Value) }
