import * as pulumi from "@pulumi/pulumi";

// The SDK sends each answer that it gets from the engine back to it as a debug message, a minted password in plain text
// among the rest (`RegisterResource RPC finished` in @pulumi/pulumi runtime/resource.js). The engine masks only what config
// marks as secret, so `pulumi up --debug` prints the others and `--event-log` writes them to a file. There is no setting for
// it. Lost are these messages and, in another program that uses the library, its own debug messages.
Object.assign(pulumi.log, { debug: () => Promise.resolve() });
