package quotastore

import (
	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// The fields of the map "sharing". The first two name the window that the others
// are of: a release that knows nothing of them leaves them there when it begins
// the next window.
const (
	ofLastResetField  = "last_reset"
	ofGenerationField = "generation"
	writesField       = "writes"
	processesField    = "processes"
	writerField       = "writer"
	crowdField        = "crowd"
	partsField        = "parts"
	partLimitField    = "part_limit"
	partedField       = "parted"
)

func encodeSharing(w limits.Window) *docdb.Value {
	s := w.Sharing
	fields := map[string]*docdb.Value{
		ofLastResetField:  docdb.Double(w.LastReset),
		ofGenerationField: docdb.Integer(w.Generation),
	}
	for name, n := range map[string]int64{
		writesField: s.Writes, processesField: s.Processes, writerField: s.Writer, crowdField: s.Crowd,
		partsField: s.Parts, partLimitField: s.PartLimit, partedField: s.Parted,
	} {
		if n != 0 {
			fields[name] = docdb.Integer(n)
		}
	}
	return &docdb.Value{ValueType: &firestorepb.Value_MapValue{MapValue: &firestorepb.MapValue{Fields: fields}}}
}

// decodeSharing reads what is of the window w; anything else is of an earlier one,
// or damaged, and means nothing.
func decodeSharing(v *docdb.Value, w limits.Window) limits.Sharing {
	fields := v.GetMapValue().GetFields()
	if fields == nil || number(fields[ofLastResetField]) != w.LastReset || whole(fields[ofGenerationField]) != w.Generation {
		return limits.Sharing{}
	}
	count := func(name string) int64 { return max(0, min(whole(fields[name]), limits.MaxLimit)) }
	return limits.Sharing{
		Writes: count(writesField), Processes: count(processesField), Writer: count(writerField), Crowd: count(crowdField),
		Parts: count(partsField), PartLimit: count(partLimitField), Parted: count(partedField),
	}
}
