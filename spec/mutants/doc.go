// Package mutants breaks the protocol of topics on purpose, spec/topic.md: one
// mutant for each SYNC POINT of the source and for each row of the table of
// deaths, and some more. A proof is worth what it finds out: each mutant must
// be caught by the prover, a model, the fuzzing or a test.
//
//	go test ./spec/mutants           the table is complete, and fits the source
//	go test ./spec/mutants -mutants . -v -timeout 2h
//	                                 run those that match, in a copy of the module
package mutants
