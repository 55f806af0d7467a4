/** Whether a file with a fault in it is still a program: one that does not compile fails every test, and proves nothing. */
import * as path from "node:path";
import * as ts from "typescript";

/** Declared and no longer used: true of many a fault, and harmless. */
const UNUSED = [6133, 6192, 6196, 6198, 6199, 7027];

/**
 * @param root The checkout, whose tsconfig.json counts.
 * @param files Those that get faults, relative to it.
 * @returns What TypeScript says against a file, were this its text; empty where nothing.
 */
export function typeChecker(root: string, files: readonly string[]): (file: string, text: string) => string[] {
  const { config } = ts.readConfigFile(path.join(root, "tsconfig.json"), (file) => ts.sys.readFile(file)) as {
    config: unknown;
  };
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const changed = new Map<string, { text: string; version: number }>();
  const service = ts.createLanguageService({
    fileExists: (file) => ts.sys.fileExists(file),
    readFile: (file) => ts.sys.readFile(file),
    directoryExists: (folder) => ts.sys.directoryExists(folder),
    getDirectories: (folder) => ts.sys.getDirectories(folder),
    getCompilationSettings: () => options,
    getCurrentDirectory: () => root,
    getDefaultLibFileName: (all) => ts.getDefaultLibFilePath(all),
    getScriptFileNames: () => files.map((file) => path.join(root, file)),
    getScriptVersion: (file) => String(changed.get(file)?.version ?? 0),
    getScriptSnapshot(file) {
      const text = changed.get(file)?.text ?? ts.sys.readFile(file);
      return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text);
    },
  });
  const set = (file: string, text: string | undefined): void => {
    const version = (changed.get(file)?.version ?? 0) + 1;
    changed.set(file, { text: text ?? ts.sys.readFile(file) ?? "", version });
  };
  return (file, text) => {
    const name = path.join(root, file);
    set(name, text);
    const found = [...service.getSyntacticDiagnostics(name), ...service.getSemanticDiagnostics(name)];
    set(name, undefined);
    return found
      .filter(({ code }) => !UNUSED.includes(code))
      .map(({ code, messageText }) => `TS${code}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`);
  };
}
