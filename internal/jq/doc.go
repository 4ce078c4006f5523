// Package jq runs the programs of a configuration over JSON values. It is the only
// importer of gojq, and makes of it what a server can run for anybody: no program and
// no input takes the process down, or more than its share of time and memory.
//
// A program is written by an operator, its input by anybody. gojq asks its context
// once per instruction, and a builtin is one instruction: alone, `"x" * 1e9` or
// `[range(1e5)] - [range(1e5)]` take what they take, `tojson` of a deep value takes
// the whole stack, which Go can't survive, and `del` writes into values that other
// runs share. So Compile rewrites a program before gojq compiles it, and Run watches
// it.
//
// # What is guarded, and how
//
//   - Time. A run ends after [Deadline], or with its context. The run is the context
//     that gojq asks (jq.go): no timer, no lock, a look at the clock every 32
//     steps. Functions of this package count their work in the same steps.
//   - Memory. Functions count what they make, 128 MiB a run ([Spec.Memory]). No
//     string is longer than 8 MiB, no array or object larger than a million, no tree
//     has more than a million values, no integer more than 4096 bits (guards.go).
//     The interpreter's own stack grows only as long as the time lasts.
//   - Depth. No tree is deeper than 1000 levels when something recursive meets it, no
//     path longer, no program nested deeper.
//   - Operators and builtins. A guard stands before gojq's own where the input shows
//     what it will take (times, minus, over, sum, grid, tree, …), or behind it where
//     the result is at most the sum of two values within limits (post). What compares,
//     searches, or writes text is ours instead of gojq's, step by step under the clock
//     (compare.go, text.go, regex.go). So is what changes a value by a path: it copies
//     what it writes (edit.go).
//   - Regular expressions. Patterns are literals and compiled once, with the program;
//     matching counts steps by the size of pattern and text (regex.go).
//   - Strings. Keys that are put together, layouts of times and literals of numbers
//     have limits of their own, because gojq or Go take more than linear time over
//     them.
//   - Builtins that are off. A program can call what builtins.go lists, and nothing
//     else. env, input, debug, modules and what takes time by a number (jn, yn) are
//     refused, so a new builtin of a new gojq is refused until somebody has looked at
//     it.
//   - Panics. gojq panics at values of types that it does not know; a run recovers,
//     and is a failed one.
//   - Errors. gojq's errors quote values, which may be a customer's. Only words of a
//     known list get through (errors.go).
//
// The rewriter resolves names itself (rewrite.go, calls.go): a definition of the
// program never takes the place of a guard, because guards are called by names that no
// program can spell. Definitions that guard one of gojq's builtins, or need
// several guards, are written in jq (prelude.go).
//
// # Upgrading gojq
//
// Four tests say what has changed. TestBuiltinsAreKnown names a builtin that is new:
// enter it in builtins.go, as refused unless it takes time and memory in proportion to
// its values. TestDifferential and FuzzProgram hold what is ours to what gojq gives.
// TestCorpus runs programs that once took seconds, gigabytes or the process.
// TestNoGuardIsSuperfluous runs gojq alone, and names each guard that it does not need
// any more. A change of gojq's syntax tree shows as a program that TestDifferential
// can't compile, or that runs without its guards: look at the switches over TermType
// in rewrite.go.
//
// # What exists for speed
//
// Files that end in _fast.go can be deleted, and are left out with the build tag
// noswitchboardfast. Everything means the same without them.
package jq
