//go:build race

package mapping_test

func init() { raceDetector = true }
