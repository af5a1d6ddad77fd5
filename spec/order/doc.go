// Package order holds the protocol of topics, spec/topic.md.
package order
