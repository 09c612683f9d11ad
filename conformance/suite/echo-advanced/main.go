// Command echo-advanced stands in for the image of that name, which the Gateway API project publishes without its source being
// part of the conformance module: a server that tells what it was asked, and a client of it that tests run by "kubectl exec".
// Called as "client" (the name of a link to it, or the first argument) it is the client.
//
// What both say are lines KEY=VALUE that the package conformance/utils/echo of the suite reads.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	name, args := filepath.Base(os.Args[0]), os.Args[1:]
	if len(args) > 0 && (args[0] == "client" || args[0] == "server") {
		name, args = args[0], args[1:]
	}
	var err error
	if name == "client" {
		err = runClient(args, os.Stdout)
	} else {
		err = runServer(args)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
