/**
 * The plugin `pulumi-language-nodejs` for an engine that has none (the Go module lacks it): a gRPC LanguageRuntime that
 * spawns the SDK's own `cmd/run` for each run, as the official one does, so messages and exit rules are the SDK's.
 * Started with the engine's address as its argument; prints its port on stdout. It answers what preview, up, refresh
 * and destroy ask, and installs packages for `pulumi new`; policy packs need the official one.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { createRequire } from "node:module";
import * as path from "node:path";
import * as grpc from "@grpc/grpc-js";
import * as services from "@pulumi/pulumi/proto/language_grpc_pb";
import * as language from "@pulumi/pulumi/proto/language_pb";
import * as plugin from "@pulumi/pulumi/proto/plugin_pb";
import { isTranspiled } from "./transpiled.cjs";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";

/** `cmd/run` exits so when it has already shown the error: @pulumi/pulumi cmd/run/index.js. */
const ALREADY_REPORTED = 32;

/** Runtime options of Pulumi.yaml: https://www.pulumi.com/docs/iac/concepts/projects/project-file/#runtime-options */
interface RuntimeOptions {
  typescript?: boolean;
  nodeargs?: string;
  tsconfig?: string;
}

/** Arguments of `node` for one run; the flags are those of the SDK's `cmd/run`. */
function runArguments(request: language.RunRequest, info: language.ProgramInfo, options: RuntimeOptions): string[] {
  const sdk = createRequire(path.join(info.getProgramDirectory(), "package.json"));
  const flags: Record<string, string> = {
    monitor: request.getMonitorAddress(),
    engine: process.argv[2] ?? "",
    project: request.getProject(),
    stack: request.getStack(),
    "root-directory": info.getRootDirectory(),
    pwd: request.getPwd(),
    organization: request.getOrganization(),
    parallel: String(request.getParallel()),
  };
  return [
    "--require",
    path.join(__dirname, "lifeline.cjs"),
    ...(options.nodeargs?.split(/\s+/).filter(Boolean) ?? []),
    sdk.resolve("@pulumi/pulumi/cmd/run"),
    ...Object.entries(flags).flatMap(([name, value]) => (value === "" ? [] : [`--${name}`, value])),
    ...(request.getDryrun() ? ["--dry-run"] : []),
    info.getEntryPoint(),
    ...request.getArgsList(),
  ];
}

/** Config goes by environment: arguments are visible to every user of the machine. */
function runEnvironment(request: language.RunRequest, directory: string, options: RuntimeOptions): NodeJS.ProcessEnv {
  return {
    ...process.env,
    PULUMI_CONFIG: JSON.stringify(Object.fromEntries(request.getConfigMap().toArray())),
    PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(request.getConfigsecretkeysList()),
    ...(options.typescript === false || isTranspiled(directory) ? {} : { PULUMI_NODEJS_TYPESCRIPT: "true" }),
    ...(options.tsconfig === undefined ? {} : { PULUMI_NODEJS_TSCONFIG_PATH: options.tsconfig }),
  };
}

const running = new Set<ChildProcess>();

/** Runs the program to its end: the error to report, if any, and whether the user has seen one already. */
function runProgram(request: language.RunRequest): Promise<{ error: string; bail: boolean }> {
  const info = request.getInfo();
  if (info === undefined)
    throw new Error("the engine's Run request names no program: is the engine older than 3.227.0?");
  const options = (info.getOptions()?.toJavaScript() ?? {}) as RuntimeOptions;
  // stdin is a pipe that nobody writes to: it closes when this process dies, and the lifeline ends the program.
  const child = spawn(process.execPath, runArguments(request, info, options), {
    cwd: info.getProgramDirectory(),
    env: runEnvironment(request, info.getProgramDirectory(), options),
    stdio: ["pipe", "inherit", "inherit"],
  });
  running.add(child);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      running.delete(child);
      if (code === 0) resolve({ error: "", bail: false });
      else if (code === ALREADY_REPORTED) resolve({ error: "", bail: true });
      else if (code !== null) resolve({ error: `Program exited with non-zero exit code: ${code}`, bail: false });
      else resolve({ error: `Program was ended by signal ${signal ?? "unknown"}`, bail: false });
    });
  });
}

const run: grpc.handleUnaryCall<language.RunRequest, language.RunResponse> = (call, callback) => {
  Promise.resolve(call.request)
    .then(runProgram)
    .then(
      ({ error, bail }) => {
        callback(null, new language.RunResponse().setError(error).setBail(bail));
      },
      (error: unknown) => {
        callback(error instanceof Error ? error : new Error(String(error)));
      },
    );
};

/** `npm install`, as the official host does; what it prints goes to the engine as it comes. */
const installDependencies: grpc.handleServerStreamingCall<
  language.InstallDependenciesRequest,
  language.InstallDependenciesResponse
> = (call) => {
  const child = spawn("npm", ["install", "--loglevel=error"], {
    cwd: call.request.getInfo()?.getProgramDirectory(),
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  child.stdout.on("data", (bytes: Buffer) => call.write(new language.InstallDependenciesResponse().setStdout(bytes)));
  child.stderr.on("data", (bytes: Buffer) => call.write(new language.InstallDependenciesResponse().setStderr(bytes)));
  child.once("error", (error) => call.destroy(error));
  child.once("close", (code) => {
    running.delete(child);
    if (code === 0) call.end();
    else call.destroy(new Error(`npm install ended with exit code ${code ?? "of a signal"}`));
  });
};

// Empty lists: the engine then loads what the program's resources name. The official host lists every @pulumi package
// in node_modules, and all their plugins are started.
const implementation = {
  run,
  installDependencies,
  getPluginInfo: ((_, callback) => {
    callback(null, new plugin.PluginInfo().setVersion("1.0.0"));
  }) as grpc.handleUnaryCall<Empty, plugin.PluginInfo>,
  getRequiredPackages: ((_, callback) => {
    callback(null, new language.GetRequiredPackagesResponse());
  }) as grpc.handleUnaryCall<language.GetRequiredPackagesRequest, language.GetRequiredPackagesResponse>,
  getRequiredPlugins: ((_, callback) => {
    callback(null, new language.GetRequiredPluginsResponse());
  }) as grpc.handleUnaryCall<language.GetRequiredPluginsRequest, language.GetRequiredPluginsResponse>,
  about: ((_, callback) => {
    callback(null, new language.AboutResponse().setExecutable(process.execPath).setVersion(process.version));
  }) as grpc.handleUnaryCall<language.AboutRequest, language.AboutResponse>,
  // At the end of every run, and on Ctrl-C while calls in flight are still recorded: nothing to do.
  cancel: ((_, callback) => {
    callback(null, new Empty());
  }) as grpc.handleUnaryCall<Empty, Empty>,
};

// The engine waits 5 s for this, then calls it a crash.
process.on("SIGINT", () => {
  for (const child of running) child.kill("SIGKILL");
  process.exit(0);
});

const server = new grpc.Server({ "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 });
server.addService(services.LanguageRuntimeService, implementation);
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  process.stdout.write(`${port}\n`);
});
