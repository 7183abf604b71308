// Package stagetest owns the tests of the stage's single steps, carried out by the program
// nsexec/stage/test/stepper.c without runtime and stage-0. It refuses to be imported.
package stagetest
