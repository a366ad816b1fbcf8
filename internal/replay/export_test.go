package replay

// MostInMemory makes the dry run put aside what takes more than so many bytes.
func (d *DryRun) MostInMemory(bytes int) { d.states.most = bytes }

// InMemory is about how many bytes the resources take that are not put aside.
func (d *DryRun) InMemory() int { return d.states.weight }
