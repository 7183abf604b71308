package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestQuantile(t *testing.T) {
	for _, r := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{nil, 0.5, 0}, {[]float64{3}, 0.25, 3}, {[]float64{4, 1, 3, 2}, 0.5, 2.5}, {[]float64{5, 1, 4, 2, 3}, 0.25, 2}, {[]float64{1, 2}, 1, 2},
	} {
		if got := quantile(r.values, r.q); got != r.want {
			t.Errorf("quantile(%v, %v) = %v, want %v", r.values, r.q, got, r.want)
		}
	}
}

func sample() Results {
	v := View{Name: "v1", Runtimes: []Runtime{{Name: "runack"}, {Name: "crun"}}}
	for i, r := range v.Runtimes {
		for _, verb := range verbs {
			v.Latency = append(v.Latency, Series{"default", false, verb, r.Name, []float64{float64(2 + 2*i)}})
		}
	}
	return Results{Views: []View{v}}
}

func TestReportHasTheRatios(t *testing.T) {
	if text := string(report(sample())); !strings.Contains(text, "| run | 2.00 / 2.00 | 4.00 / 4.00 | 0.50 |") {
		t.Error(text)
	}
}

func TestPlotIsWellFormed(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader(string(plot(sample()))))
	elements := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := token.(xml.StartElement); ok {
			elements++
		}
	}
	if elements < 2*len(verbs) {
		t.Errorf("%d elements", elements)
	}
}

// A run of some parts keeps what an earlier one found out about the others.
func TestMergeKeepsWhatWasNotMeasured(t *testing.T) {
	old := sample()
	old.Views[0].Memory = []Memory{{Runtime: "runack", Limit: 7}}
	v := merge(View{Name: "v1", Cost: []Cost{{Runtime: "runack"}}}, old, []string{"cost", "memory"})
	if len(v.Latency) == 0 || len(v.Cost) != 1 || len(v.Memory) != 0 {
		t.Errorf("%+v", v)
	}
}
