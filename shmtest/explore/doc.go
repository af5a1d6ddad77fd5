// Package explore is a memory-order explorer.
package explore
