// Package firestoreadmin compares the settings of a database's fields (indexes,
// exemptions from them, expiry) with those that the registry and the throttle
// need, which deploy/firestore.indexes.json lists, and changes what differs.
//
// It adds and takes away indexes of fields that the file names, and looks at no
// others. It never turns an expiry off, nor takes an index over several fields away.
package firestoreadmin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	admin "cloud.google.com/go/firestore/apiv1/admin"
	"cloud.google.com/go/firestore/apiv1/admin/adminpb"
	"google.golang.org/api/iterator"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/northstar-engines/realtime-registry/deploy"
)

// Database names a database, and what stands before its collections' names.
type Database struct {
	Project, ID, Prefix string
}

func (d Database) name() string { return fmt.Sprintf("projects/%s/databases/%s", d.Project, d.ID) }

// Provenance returns when the database was made, and the backup that it was made of; ""
// if it was made of none, as far as the service says: it does not say it of clones. It
// takes the permission datastore.databases.getMetadata.
func (d Database) Provenance(ctx context.Context, client *admin.FirestoreAdminClient) (backup string, made time.Time, err error) {
	database, err := client.GetDatabase(ctx, &adminpb.GetDatabaseRequest{Name: d.name()})
	if err != nil {
		return "", time.Time{}, err
	}
	return database.GetSourceInfo().GetBackup().GetBackup(), database.GetCreateTime().AsTime(), nil
}

// Field is what a field of a collection is to be.
type Field struct {
	Collection, Path string
	Index            Index
	Expires          bool // documents expire at the field's time
}

// Index is the one index of a field, over one collection.
type Index string

// The indexes.
const (
	None      Index = "no index"
	Ascending Index = "ascending"
	Contains  Index = "array-contains"
)

// file is deploy/firestore.indexes.json.
type file struct {
	Indexes []struct {
		CollectionGroup string
		Fields          []struct{ FieldPath, Order string }
	}
	FieldOverrides []struct {
		CollectionGroup, FieldPath string
		TTL                        bool
		Indexes                    []struct{ Order, ArrayConfig string }
	}
}

func read() (f file, err error) {
	err = json.Unmarshal(deploy.FirestoreIndexes, &f)
	return f, err
}

// Wanted returns what all fields are to be.
func (d Database) Wanted() ([]Field, error) {
	file, err := read()
	if err != nil {
		return nil, err
	}
	var fields []Field
	for _, o := range file.FieldOverrides {
		f := Field{Collection: d.Prefix + o.CollectionGroup, Path: o.FieldPath, Index: None, Expires: o.TTL}
		if len(o.Indexes) > 1 {
			return nil, fmt.Errorf("%s.%s has %d indexes: one is all that is known here", f.Collection, f.Path, len(o.Indexes))
		}
		for _, i := range o.Indexes {
			if f.Index = Ascending; i.ArrayConfig != "" {
				f.Index = Contains
			}
		}
		fields = append(fields, f)
	}
	return fields, nil
}

// Change is what a field has to become, or an index over several of them that has
// to be.
type Change struct {
	Field
	database      Database
	index, expiry bool // what differs
	was           string
	composite     *Composite // the index; nil for a change of a field
}

func (c Change) String() string {
	if c.composite != nil {
		return c.composite.String()
	}
	var to []string
	if c.index {
		to = append(to, fmt.Sprintf("%s (has %s)", c.Index, c.was))
	}
	if c.expiry {
		to = append(to, "documents expire at its time")
	}
	return fmt.Sprintf("field %s.%s: %s", c.Collection, c.Path, strings.Join(to, "; "))
}

// Commands returns the commands that make the change by hand
// (https://cloud.google.com/sdk/gcloud/reference/firestore/indexes/fields/update,
// https://cloud.google.com/sdk/gcloud/reference/firestore/fields/ttls/update).
func (c Change) Commands() (commands []string) {
	if c.composite != nil {
		return []string{c.composite.command(c.database)}
	}
	where := fmt.Sprintf("--collection-group='%s' --database='%s' --project='%s' --async", c.Collection, c.database.ID, c.database.Project)
	if c.index {
		flag := map[Index]string{None: "--disable-indexes", Ascending: "--index=order=ascending", Contains: "--index=array-config=contains"}[c.Index]
		commands = append(commands, fmt.Sprintf("gcloud firestore indexes fields update '%s' %s %s", c.Path, where, flag))
	}
	if c.expiry {
		commands = append(commands, fmt.Sprintf("gcloud firestore fields ttls update '%s' %s --enable-ttl", c.Path, where))
	}
	return commands
}

// All returns the changes of a database of which nothing is known.
func (d Database) All() (changes []Change, err error) {
	wanted, err := d.Wanted()
	for _, f := range wanted {
		changes = append(changes, Change{Field: f, database: d, index: true, expiry: f.Expires, was: "what is not known"})
	}
	composites, failed := d.Composites()
	for i := range composites {
		changes = append(changes, Change{database: d, composite: &composites[i]})
	}
	return changes, errors.Join(err, failed)
}

// Differences returns what has to change. It takes the permission
// datastore.indexes.list.
func (d Database) Differences(ctx context.Context, client *admin.FirestoreAdminClient) (changes []Change, err error) {
	wanted, err := d.Wanted()
	if err != nil {
		return nil, err
	}
	have := map[string]map[string]*adminpb.Field{} // by collection and path
	for _, f := range wanted {
		if have[f.Collection] == nil {
			if have[f.Collection], err = d.overridden(ctx, client, f.Collection); err != nil {
				return nil, err
			}
		}
		if c := d.compare(f, have[f.Collection][f.Path]); c.index || c.expiry {
			changes = append(changes, c)
		}
	}
	missing, err := d.missingComposites(ctx, client)
	return append(changes, missing...), err
}

// overridden returns a collection's fields that have settings of their own.
func (d Database) overridden(ctx context.Context, client *admin.FirestoreAdminClient, collection string) (map[string]*adminpb.Field, error) {
	fields := map[string]*adminpb.Field{}
	found := client.ListFields(ctx, &adminpb.ListFieldsRequest{
		Parent: d.name() + "/collectionGroups/" + collection,
		Filter: "indexConfig.usesAncestorConfig:false OR ttlConfig:*",
	})
	for {
		f, err := found.Next()
		if errors.Is(err, iterator.Done) {
			return fields, nil
		}
		if err != nil {
			return nil, fmt.Errorf("look at the fields of %s: %w", collection, err)
		}
		fields[path.Base(f.Name)] = f
	}
}

func (d Database) compare(want Field, have *adminpb.Field) Change {
	c := Change{Field: want, database: d}
	if have.GetIndexConfig() == nil || have.IndexConfig.UsesAncestorConfig {
		c.index, c.was = true, "the default: an index in each direction"
	} else if is := indexes(have); !slices.Equal(is, want.indexes()) {
		c.index, c.was = true, cmp.Or(strings.Join(is, ", "), string(None))
	}
	state := have.GetTtlConfig().GetState()
	c.expiry = want.Expires && state != adminpb.Field_TtlConfig_ACTIVE && state != adminpb.Field_TtlConfig_CREATING
	return c
}

// indexes names a field's indexes over one collection, which are all that we make;
// those over collection groups belong to others.
func indexes(f *adminpb.Field) (names []string) {
	for _, i := range f.GetIndexConfig().GetIndexes() {
		if i.QueryScope != adminpb.Index_COLLECTION {
			continue
		}
		for _, part := range i.Fields {
			switch {
			case part.GetArrayConfig() == adminpb.Index_IndexField_CONTAINS:
				names = append(names, string(Contains))
			case part.GetOrder() == adminpb.Index_IndexField_ASCENDING:
				names = append(names, string(Ascending))
			default:
				names = append(names, strings.ToLower(part.GetOrder().String()))
			}
		}
	}
	slices.Sort(names)
	return names
}

func (f Field) indexes() []string {
	if f.Index == None {
		return nil
	}
	return []string{string(f.Index)}
}

// Apply begins a change, which Firestore then makes in the background, and returns
// the name of the operation. It takes the permission datastore.indexes.update.
func (c Change) Apply(ctx context.Context, client *admin.FirestoreAdminClient) (operations []string, err error) {
	if c.composite != nil {
		return c.composite.create(ctx, client, c.database)
	}
	name := fmt.Sprintf("%s/collectionGroups/%s/fields/%s", c.database.name(), c.Collection, c.Path)
	var updates []*adminpb.UpdateFieldRequest
	if c.index {
		updates = append(updates, &adminpb.UpdateFieldRequest{
			Field:      &adminpb.Field{Name: name, IndexConfig: c.config()},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"index_config"}},
		})
	}
	if c.expiry {
		updates = append(updates, &adminpb.UpdateFieldRequest{
			Field:      &adminpb.Field{Name: name, TtlConfig: &adminpb.Field_TtlConfig{}},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"ttl_config"}},
		})
	}
	for _, u := range updates {
		operation, err := client.UpdateField(ctx, u)
		if err != nil {
			return operations, fmt.Errorf("change field %s.%s: %w", c.Collection, c.Path, err)
		}
		operations = append(operations, operation.Name())
	}
	return operations, nil
}

func (f Field) config() *adminpb.Field_IndexConfig {
	part := &adminpb.Index_IndexField{FieldPath: f.Path}
	switch f.Index {
	case None:
		return &adminpb.Field_IndexConfig{}
	case Ascending:
		part.ValueMode = &adminpb.Index_IndexField_Order_{Order: adminpb.Index_IndexField_ASCENDING}
	case Contains:
		part.ValueMode = &adminpb.Index_IndexField_ArrayConfig_{ArrayConfig: adminpb.Index_IndexField_CONTAINS}
	}
	return &adminpb.Field_IndexConfig{Indexes: []*adminpb.Index{{QueryScope: adminpb.Index_COLLECTION, Fields: []*adminpb.Index_IndexField{part}}}}
}
