// Package suite runs the conformance tests of the Kubernetes Gateway API; their own flags say which, and how.
package suite

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
)

func TestConformance(t *testing.T) {
	conformance.RunConformance(t)
}
