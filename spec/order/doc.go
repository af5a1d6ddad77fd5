// Package order holds the protocol of topics, spec/topic.md, written against
// the operations of its section 1, and its tests run that through the
// memory-order explorer (shmtest/explore): as it is, where nothing may be
// wrong, and with one order after the other left out, where something must be.
// docs/memory-order.md says what that covers and what was found.
//
// The models beside it, in spec/models, cover more states of a memory that is
// sequentially consistent.
package order
