package jq

// Reserve asks for the memory that a document of n bytes takes once decoded.
func Reserve(n int) (release func(), ok bool) { return func() {}, n >= 0 }
