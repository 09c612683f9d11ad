// echo-advanced stands in for the image of this name that the mesh tests of the conformance suite run and exec into: a server that tells what
// it was asked, and a client that prints what it was told, in the lines that the suite reads (conformance/utils/echo/parse.go).
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	run := serve
	if filepath.Base(os.Args[0]) == "client" {
		run = request
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "echo-advanced:", err)
		os.Exit(1)
	}
}
