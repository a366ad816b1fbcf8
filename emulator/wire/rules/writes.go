package rules

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
)

// contention is the service's answer, word for word, to writes that wait too long
// for a document (googleapis/nodejs-firestore#827).
var contention = status.Error(codes.Aborted, "Too much contention on these documents. Please try again.")

// write carries one request that writes all of it or nothing.
func (f *Firestore) write(ctx context.Context, request any, call func(any) error) error {
	writes := writesOf(request)
	if len(writes) == 0 {
		return call(request)
	}
	names := namesOf(writes)
	wait, late := f.hot.take(names, time.Now())
	if err := sleep(ctx, wait); err != nil || len(late) > 0 {
		f.hot.undo(without(names, late))
		if err == nil {
			err = contention
		}
		return err
	}
	if err := call(request); err != nil {
		f.hot.undo(names)
		return err
	}
	f.wrote(writes)
	return nil
}

// batchWrite carries writes that succeed or fail one by one. What the rules refuse
// does not reach the emulator, and is answered as the service would.
func (f *Firestore) batchWrite(ctx context.Context, m *firestorepb.BatchWriteRequest, reply *firestorepb.BatchWriteResponse, call func(request any, reply any) error) error {
	refused := map[int]error{}
	for i, w := range m.GetWrites() {
		if err := f.checkWrite(w); err != nil {
			refused[i] = err
		}
	}
	names := namesOf(m.GetWrites())
	wait, late := f.hot.take(names, time.Now())
	for _, i := range late {
		refused[i] = contention
	}
	pass := make([]int, 0, len(names))
	for i := range names {
		if refused[i] == nil {
			pass = append(pass, i)
		}
	}
	if err := sleep(ctx, wait); err != nil {
		f.hot.undo(without(names, late))
		return err
	}
	if err := f.passOn(m, reply, pass, call); err != nil {
		f.hot.undo(without(names, late))
		return err
	}
	answerRefused(reply, len(names), pass, refused)
	var done []*firestorepb.Write
	for i, w := range m.GetWrites() {
		switch {
		case len(reply.GetStatus()) == 0 || reply.GetStatus()[i].GetCode() == int32(codes.OK):
			done = append(done, w)
		case refused[i] != contention:
			f.hot.undo(names[i : i+1])
		}
	}
	f.wrote(done)
	return nil
}

// passOn sends the writes that pass, if there are any.
func (f *Firestore) passOn(m *firestorepb.BatchWriteRequest, reply *firestorepb.BatchWriteResponse, pass []int, call func(request any, reply any) error) error {
	switch len(pass) {
	case 0:
		return nil
	case len(m.GetWrites()):
		return call(m, reply)
	}
	rest := &firestorepb.BatchWriteRequest{Database: m.GetDatabase(), Labels: m.GetLabels()}
	for _, i := range pass {
		rest.Writes = append(rest.Writes, m.GetWrites()[i])
	}
	return call(rest, reply)
}

// answerRefused inserts the answers for refused writes between those for the
// others.
func answerRefused(reply *firestorepb.BatchWriteResponse, n int, pass []int, refused map[int]error) {
	if len(refused) == 0 {
		return
	}
	results, statuses := reply.GetWriteResults(), reply.GetStatus()
	reply.WriteResults, reply.Status = nil, nil
	for i := range n {
		s := status.New(codes.OK, "")
		if refused[i] != nil {
			s = status.Convert(refused[i])
		}
		reply.WriteResults = append(reply.WriteResults, &firestorepb.WriteResult{})
		reply.Status = append(reply.Status, s.Proto())
	}
	for k, i := range pass {
		reply.WriteResults[i] = results[k]
		if len(statuses) > 0 { // it is empty if all succeeded
			reply.Status[i] = statuses[k]
		}
	}
}

func (f *Firestore) checkWrites(writes []*firestorepb.Write) error {
	for _, w := range writes {
		if err := f.checkWrite(w); err != nil {
			return err
		}
	}
	return nil
}

func (f *Firestore) checkWrite(w *firestorepb.Write) error {
	if d := w.GetUpdate(); d != nil {
		return f.checkDocument(d, collectionOf(d.GetName()))
	}
	return nil
}

// wrote records what was written, for the report.
func (f *Firestore) wrote(writes []*firestorepb.Write) {
	now := time.Now()
	f.hot.wrote(namesOf(writes), now)
	f.ranges.wrote(f.indexes, writes, now)
}

// writesOf returns the writes of a request that succeeds or fails as a whole.
func writesOf(request any) []*firestorepb.Write {
	one := func(name string, d *firestorepb.Document) []*firestorepb.Write {
		return []*firestorepb.Write{{Operation: &firestorepb.Write_Update{
			Update: &firestorepb.Document{Name: name, Fields: d.GetFields()},
		}}}
	}
	switch m := request.(type) {
	case *firestorepb.CommitRequest:
		return m.GetWrites()
	case *firestorepb.CreateDocumentRequest:
		return one(m.GetParent()+"/"+m.GetCollectionId()+"/"+m.GetDocumentId(), m.GetDocument())
	case *firestorepb.UpdateDocumentRequest:
		return one(m.GetDocument().GetName(), m.GetDocument())
	case *firestorepb.DeleteDocumentRequest:
		return []*firestorepb.Write{{Operation: &firestorepb.Write_Delete{Delete: m.GetName()}}}
	}
	return nil
}

func namesOf(writes []*firestorepb.Write) []string {
	names := make([]string, len(writes))
	for i, w := range writes {
		switch op := w.GetOperation().(type) {
		case *firestorepb.Write_Update:
			names[i] = op.Update.GetName()
		case *firestorepb.Write_Transform:
			names[i] = op.Transform.GetDocument()
		case *firestorepb.Write_Delete:
			names[i] = op.Delete
		}
	}
	return names
}

func without(names []string, late []int) []string {
	var rest []string
	for i, name := range names {
		if !slices.Contains(late, i) {
			rest = append(rest, name)
		}
	}
	return rest
}
