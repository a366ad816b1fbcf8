package wire

import (
	"strings"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
)

// call is what the bill needs to know of one RPC. Its fields are guarded by the
// meter.
type call struct {
	method   string
	query    string               // the collection that a query reads
	returned bool                 // the query returned something that is billed
	listened map[string]time.Time // by document, the last update sent to the listener
}

// The rules are those of https://firebase.google.com/docs/firestore/pricing:
//
//   - a read for each document that a lookup asks for, whether it exists or not;
//   - a read for each document that a query returns, at least one (what it skips
//     by offset is billed too, but the emulator does not say how much it was);
//   - a read for each 1,000 index entries that an aggregation counts, at least
//     one (only count() says how many; other aggregations count as one);
//   - for a listener, a read for each document added, changed, or removed from
//     the result because it changed; not for one that was deleted. (The emulator
//     sends a query's whole result again at every change. What it repeats on the
//     same stream is not counted, since the service does not.)
//   - a write or a delete for each operation of a commit, even if its
//     precondition fails (so Firestore's support says; the page is silent).

// sent counts what a request is billed for.
func (c *call) sent(n *Counts, message any) {
	switch m := message.(type) {
	case *firestorepb.GetDocumentRequest:
		n.Reads[collection(m.GetName())]++
	case *firestorepb.CommitRequest:
		countWrites(n, m.GetWrites())
	case *firestorepb.BatchWriteRequest:
		countWrites(n, m.GetWrites())
	case *firestorepb.WriteRequest:
		countWrites(n, m.GetWrites())
	case *firestorepb.CreateDocumentRequest:
		n.Writes[below(m.GetParent(), m.GetCollectionId())]++
	case *firestorepb.UpdateDocumentRequest:
		n.Writes[collection(m.GetDocument().GetName())]++
	case *firestorepb.DeleteDocumentRequest:
		n.Deletes[collection(m.GetName())]++
	case *firestorepb.RunQueryRequest:
		c.query = queried(m.GetParent(), m.GetStructuredQuery())
	case *firestorepb.RunAggregationQueryRequest:
		c.query = queried(m.GetParent(), m.GetStructuredAggregationQuery().GetStructuredQuery())
	case *firestorepb.ListDocumentsRequest:
		c.query = below(m.GetParent(), m.GetCollectionId())
	}
}

func countWrites(n *Counts, writes []*firestorepb.Write) {
	for _, w := range writes {
		switch op := w.GetOperation().(type) {
		case *firestorepb.Write_Update:
			n.Writes[collection(op.Update.GetName())]++
		case *firestorepb.Write_Transform:
			n.Writes[collection(op.Transform.GetDocument())]++
		case *firestorepb.Write_Delete:
			n.Deletes[collection(op.Delete)]++
		}
	}
}

// received counts what an answer is billed for.
func (c *call) received(n *Counts, message any) {
	switch m := message.(type) {
	case *firestorepb.BatchGetDocumentsResponse:
		if name := m.GetFound().GetName() + m.GetMissing(); name != "" {
			n.Reads[collection(name)]++
		}
	case *firestorepb.RunQueryResponse:
		if m.GetDocument() != nil {
			c.bill(n, 1)
		}
	case *firestorepb.ListDocumentsResponse:
		c.bill(n, int64(len(m.GetDocuments())))
	case *firestorepb.RunAggregationQueryResponse:
		for _, value := range m.GetResult().GetAggregateFields() {
			c.bill(n, (value.GetIntegerValue()+999)/1000)
			break // several aggregations read the same entries
		}
	case *firestorepb.ListenResponse:
		if change := m.GetDocumentChange(); change != nil {
			c.listen(n, change.GetDocument())
		}
		if removed := m.GetDocumentRemove(); removed != nil {
			n.Reads[collection(removed.GetDocument())]++
			delete(c.listened, removed.GetDocument())
		}
	}
}

func (c *call) bill(n *Counts, reads int64) {
	if reads > 0 {
		n.Reads[c.query] += reads
		c.returned = true
	}
}

func (c *call) listen(n *Counts, d *firestorepb.Document) {
	name, updated := d.GetName(), d.GetUpdateTime().AsTime()
	if c.listened[name].Equal(updated) {
		return
	}
	if c.listened == nil {
		c.listened = map[string]time.Time{}
	}
	c.listened[name] = updated
	n.Reads[collection(name)]++
}

// ended counts the one read of a query that returned nothing.
func (c *call) ended(n *Counts, err error) {
	if c.query != "" && !c.returned && err == nil {
		n.Reads[c.query]++
	}
}

// collection returns the path of a document's collection, below the root.
func collection(document string) string {
	path := belowRoot(document)
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return path
}

func queried(parent string, q *firestorepb.StructuredQuery) string {
	if from := q.GetFrom(); len(from) > 0 {
		return below(parent, from[0].GetCollectionId())
	}
	return below(parent, "*")
}

func below(parent, id string) string {
	if path := belowRoot(parent); path != "" {
		return path + "/" + id
	}
	return id
}

// belowRoot removes projects/…/databases/…/documents/.
func belowRoot(name string) string {
	const root = "/documents"
	i := strings.Index(name, root)
	if i < 0 {
		return name
	}
	return strings.TrimPrefix(name[i+len(root):], "/")
}
