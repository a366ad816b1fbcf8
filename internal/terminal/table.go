package terminal

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Table writes rows of columns that are as wide as their widest cell. All
// cells are quoted; an empty one is a dash.
type Table struct {
	t *tabwriter.Writer
}

// NewTable returns a table with a head.
func NewTable(w io.Writer, head ...string) *Table {
	t := &Table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	fmt.Fprintln(t.t, strings.Join(head, "\t"))
	return t
}

// Row appends a row.
func (t *Table) Row(cells ...string) {
	for i, cell := range cells {
		if cells[i] = Quote(cell); cell == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(t.t, strings.Join(cells, "\t"))
}

// Flush writes the rows. The error is that of the writer.
func (t *Table) Flush() error { return t.t.Flush() }
