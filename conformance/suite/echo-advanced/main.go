// echo-advanced stands in for the image of this name that the mesh tests of the conformance suite run and exec into: a server that tells what
// it was asked, and a client that prints what it was told, in the lines that the suite reads (conformance/utils/echo/parse.go).
package main

import (
	"fmt"
	"os"
)

func main() {
	run := serve
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "client" {
		run, args = request, args[1:]
	}
	if err := run(args); err != nil {
		fmt.Fprintln(os.Stderr, "echo-advanced:", err)
		os.Exit(1)
	}
}
