package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestScaleStandsForAllItsSuites(t *testing.T) {
	o, err := parseOptions([]string{"-suites", "bill,scale"})
	if want := append([]string{"bill"}, scaleNames()...); err != nil || !slices.Equal(o.Suites, want) {
		t.Fatalf("suites are %v, error %v; want %v", o.Suites, err, want)
	}
}

func TestEverySuiteOfScaleHasAPlaceInTheDocumentation(t *testing.T) {
	text, err := os.ReadFile(reportFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range scaleNames() {
		if mark := "<!-- suite " + name + " -->"; !strings.Contains(string(text), mark) {
			t.Errorf("%s lacks %s", reportFile, mark)
		}
	}
}

func TestThePlotIsWellFormedAndHasEveryPoint(t *testing.T) {
	text := plot([]series{
		{name: "start, s & more", points: []point{{1000, 2}, {10_000, 2}, {1_000_000, 2}}, before: []point{{1000, 4}}},
		{name: "nothing", points: []point{{1000, 0}}},
	})
	for decoder := xml.NewDecoder(strings.NewReader(text)); ; {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
	}
	if n := strings.Count(text, "<circle"); n != 5 {
		t.Errorf("%d points, want 5", n)
	}
}

func TestTheTableHasAColumnForEachNumberOfTenants(t *testing.T) {
	got := growthTable([]series{{name: "a", points: []point{{10_000, 1234.5}}, before: []point{{1000, 3}}}, {name: "b", points: []point{{1000, 0.5}}}})
	if want := []string{"tenants moved", "1,000", "10,000"}; !slices.Equal(got.header, want) {
		t.Errorf("header %q, want %q", got.header, want)
	}
	if want := [][]string{{"a", "–", "1,235"}, {"a, at commit 1571751", "3", "–"}, {"b", "0.5", "–"}}; !reflect.DeepEqual(got.rows, want) {
		t.Errorf("rows %q, want %q", got.rows, want)
	}
}
