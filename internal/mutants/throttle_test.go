package mutants_test

import "github.com/northstar-engines/realtime-registry/internal/mutants"

// ofThrottle are the rules of the throttle (design §7).
var ofThrottle = []mutant{
	simulated("a window is as it is stored (1)", "throttle", "1", mutants.Edit{
		File: "internal/limits/window.go",
		Old:  "if w.Length <= 0 || w.Limit <= 0 {",
		New:  "if p.Limit > 0 {",
	}),
	simulated("a window ends by the store's clock (2)", "throttle", "1", mutants.Edit{
		File: "quota/calls.go",
		Old:  "w := s.Window.At(s.ReadTime, p)",
		New:  "w := s.Window.At(time.Now(), p)",
	}),
	simulated("a block ends by when its reservation was sent (3)", "throttle", "1", mutants.Edit{
		File: "quota/calls.go",
		Old:  "b.extend(sent + instant(c.window.Left(r.CommitTime)))",
		New:  "b.extend(now + instant(c.window.Left(r.CommitTime)))",
	}),
	simulated("a new window drops the old block (3)", "throttle", "1", mutants.Edit{
		File: "quota/calls.go",
		Old:  "b.left, b.size, b.deadline = 0, 0, 0\n",
		New:  "b.deadline = 0\n",
	}),
	simulated("units go back into the window that they are of (4)", "throttle", "455", mutants.Edit{
		File: "quota/block.go",
		Old:  "if b.window().ID() != w {",
		New:  "if b.version == 0 {",
	}),
	measured("what a request behind the first has spent is not reserved", "./quota", "TestARequestThatCountedOnAnothersUnitIsRefused", mutants.Edit{
		File: "quota/shared.go",
		Old:  "if b.unspent()-s.part.free(s.Sharing) < int64(first) {",
		New:  "if b.unspent() < 0 {",
	}),
	measured("a process knows its own writes by its number", "./quota", "TestATenantThatAsksNowAndThenReservesOne", mutants.Edit{
		File: "quota/flight.go",
		Old:  "s.Writer == l.number() && s.Processes == 1",
		New:  "s.Writer < 0 && s.Processes == 1",
	}),
	simulated("what is put aside for parts is reserved of them alone", "throttle", "1230", mutants.Edit{
		File: "quota/shared.go",
		Old:  "w.Count += units + aside",
		New:  "w.Count += units",
	}),
	measured("a document that has had its writes waits", "./quota", "TestASharedDocumentIsWrittenFourTimesASecondAtMost", mutants.Edit{
		File: "quota/sharing.go",
		Old:  "float64(s.Writes) + 1 - burst",
		New:  "float64(s.Writes) + 1 - 2*burst",
	}),
	measured("a pause of a shared document is not made up for", "./quota", "TestAPauseOfASharedDocumentIsNotMadeUpFor", mutants.Edit{
		File: "quota/sharing.go",
		Old:  "return max(s.Writes, int64(sharedWrites*max(0, passed.Seconds()))) + 1",
		New:  "return s.Writes + max(1, int64(passed)/1e18)",
	}),
	measured("a write in a document's queue is a lost race", "./quota", "TestAFullQueueOfADocumentIsNoFailureOfTheStore", mutants.Edit{
		File: "quota/course.go",
		Old:  "if a.late && made.kind == reserve {",
		New:  "if a.late && made.kind == release {",
	}),
	measured("a crowd takes turns", "./quota", "TestFewOfACrowdHaveTheirTurnAtOnce", mutants.Edit{
		File: "quota/turns.go",
		Old:  "return time.Duration(max(0, wait) * float64(within))",
		New:  "return time.Duration(min(0, wait) * float64(within))",
	}),
	measured("who comes to a window that has just begun reckons with many", "./quota", "TestFewOfACrowdTryToBeginAWindow", mutants.Edit{
		File: "quota/turns.go",
		Old:  "case s.cold && !s.counted:",
		New:  "case s.cold && s.counted:",
	}),
	measured("what is released goes back to the part that it is of", "./quota", "TestACrowdLeavesTheWindowsDocumentAloneOnceThereAreParts", mutants.Edit{
		File: "quota/part.go",
		Old:  "case s.part.version == 0 || s.part.common && now-s.part.read > fresh:\n\t\treturn call{kind: load, part: s.part.number}\n\tcase",
		New:  "case s.part.version == 0:\n\t\treturn call{}\n\tcase",
	}),
	simulated("an ambiguous reservation is not obtained (5)", "throttle", "1", mutants.Edit{
		File: "quota/calls.go",
		Old:  "b.version = 0\n\treturn c.units",
		New:  "b.version = 0\n\tif c.kind == reserve {\n\t\tb.left += c.units\n\t}\n\treturn 0",
	}),
	simulated("an ambiguous release is not repeated (5)", "throttle", "1", mutants.Edit{
		File: "quota/calls.go",
		Old:  "case conflict && c.kind == release:",
		New:  "case c.kind == release:",
	}),
}
