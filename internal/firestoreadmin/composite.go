package firestoreadmin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	admin "cloud.google.com/go/firestore/apiv1/admin"
	"cloud.google.com/go/firestore/apiv1/admin/adminpb"
	"google.golang.org/api/iterator"
)

// Composite is an index over several fields of a collection, all ascending.
type Composite struct {
	Collection string
	Paths      []string
}

func (c Composite) String() string {
	return fmt.Sprintf("index of %s by %s", c.Collection, strings.Join(c.Paths, ", "))
}

// Composites returns the indexes over several fields that have to be.
func (d Database) Composites() (all []Composite, err error) {
	file, err := read()
	for _, i := range file.Indexes {
		c := Composite{Collection: d.Prefix + i.CollectionGroup}
		for _, f := range i.Fields {
			if f.Order != "ASCENDING" {
				return nil, fmt.Errorf("%s.%s is %s in an index over several fields: ascending is all that is known here", c.Collection, f.FieldPath, f.Order)
			}
			c.Paths = append(c.Paths, f.FieldPath)
		}
		all = append(all, c)
	}
	return all, err
}

// missingComposites returns the indexes that are not there, nor being made.
func (d Database) missingComposites(ctx context.Context, client *admin.FirestoreAdminClient) (changes []Change, err error) {
	wanted, err := d.Composites()
	if err != nil {
		return nil, err
	}
	for i, c := range wanted {
		found := client.ListIndexes(ctx, &adminpb.ListIndexesRequest{Parent: d.name() + "/collectionGroups/" + c.Collection})
		for {
			index, err := found.Next()
			if errors.Is(err, iterator.Done) {
				changes = append(changes, Change{database: d, composite: &wanted[i]})
				break
			}
			if err != nil {
				return nil, fmt.Errorf("look at the indexes of %s: %w", c.Collection, err)
			}
			if c.is(index) {
				break
			}
		}
	}
	return changes, nil
}

// is reports whether the index is this one. Firestore adds the name of the
// document as the last field.
func (c Composite) is(index *adminpb.Index) bool {
	var paths []string
	for _, f := range index.Fields {
		if f.FieldPath == "__name__" {
			continue
		}
		if f.GetOrder() != adminpb.Index_IndexField_ASCENDING {
			return false
		}
		paths = append(paths, f.FieldPath)
	}
	return index.QueryScope == adminpb.Index_COLLECTION && slices.Equal(paths, c.Paths)
}

func (c Composite) create(ctx context.Context, client *admin.FirestoreAdminClient, d Database) (operations []string, err error) {
	index := &adminpb.Index{QueryScope: adminpb.Index_COLLECTION}
	for _, path := range c.Paths {
		index.Fields = append(index.Fields, &adminpb.Index_IndexField{
			FieldPath: path,
			ValueMode: &adminpb.Index_IndexField_Order_{Order: adminpb.Index_IndexField_ASCENDING},
		})
	}
	operation, err := client.CreateIndex(ctx, &adminpb.CreateIndexRequest{Parent: d.name() + "/collectionGroups/" + c.Collection, Index: index})
	if err != nil {
		return nil, fmt.Errorf("make the %s: %w", c, err)
	}
	return []string{operation.Name()}, nil
}

// command makes the index by hand
// (https://cloud.google.com/sdk/gcloud/reference/firestore/indexes/composite/create).
func (c Composite) command(d Database) string {
	command := fmt.Sprintf("gcloud firestore indexes composite create --collection-group='%s' --database='%s' --project='%s' --async", c.Collection, d.ID, d.Project)
	for _, path := range c.Paths {
		command += fmt.Sprintf(" --field-config=field-path='%s',order=ascending", path)
	}
	return command
}
