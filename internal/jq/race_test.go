//go:build race

package jq

// slowdown is by how much the race detector stretches times and memory.
const slowdown = 8
