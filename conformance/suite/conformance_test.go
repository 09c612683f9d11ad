// Package suite is the Kubernetes Gateway API conformance suite as one test program; conformance/main.ts builds and runs it.
package suite

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"sigs.k8s.io/gateway-api/conformance"
)

const (
	meshManifests     = "mesh/manifests.yaml"
	injectedManifests = "mesh/injected.yaml"
	label             = "  labels:\n    gateway-conformance: mesh"
)

// injected is the suite's manifest of the mesh with its two namespaces labelled for injection. The suite's own flag
// -namespace-labels would also put a sidecar beside every backend of the gateways' tests.
func injected(t *testing.T) string {
	t.Helper()
	text, err := fs.ReadFile(conformance.Manifests, meshManifests)
	if err != nil {
		t.Fatal(err)
	}
	if found := strings.Count(string(text), label); found != 2 {
		t.Fatalf("%s of the suite: %d namespaces found where 2 are to be labelled for injection", meshManifests, found)
	}
	return strings.ReplaceAll(string(text), label, strings.Replace(label, "\n", "\n    istio-injection: enabled\n", 1))
}

func TestConformance(t *testing.T) {
	options := conformance.DefaultOptions(t)
	options.ManifestFS = append(options.ManifestFS, fstest.MapFS{injectedManifests: {Data: []byte(injected(t))}})
	options.MeshManifests = injectedManifests
	conformance.RunConformanceWithOptions(t, options)
}
