//go:build race

package jq

// slowdown is by how much the race detector stretches times and memory. Where it
// has nothing to find, a test does that much less.
const slowdown = 8
