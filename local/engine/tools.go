//go:build tools

// Package engine pins the Pulumi CLI that the project's scripts build where no release can be had. A module of its own,
// since `go install` refuses a module whose go.mod has replaces.
package engine

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
