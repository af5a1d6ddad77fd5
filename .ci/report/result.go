package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// result is what check found in one run; total adds them up.
type result struct {
	Kind       string
	Passed     int
	Failed     int
	Skipped    int
	Unexpected int      // of the skipped
	Other      int      // problems that are no failed test
	Used       []int    // lines of the skip list that were needed
	Complete   bool     // every package came to its end
	Problems   []string // for people
	Failures   []failure
}

// failure is a test that failed, and what it said itself: who fails because
// of a subtest alone has nothing to say.
type failure struct {
	Name string // package and test
	Said []string
}

func (r *result) failure(name, output string) {
	if said := sayings(output); len(said) > 0 {
		r.Failures = append(r.Failures, failure{name, said})
	}
}

// save keeps the result in dir, beside those of earlier runs.
func (r *result) save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("%s-%03d.result", r.Kind, n)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if os.IsExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := f.Write(text); err != nil {
			return err
		}
		return f.Close()
	}
}

// loadResults reads what save kept.
func loadResults(dir string) ([]*result, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.result"))
	if err != nil {
		return nil, err
	}
	var results []*result
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		r := new(result)
		if err := json.Unmarshal(text, r); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		results = append(results, r)
	}
	return results, nil
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}
