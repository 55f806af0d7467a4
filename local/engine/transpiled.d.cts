export function isTranspiled(folder: string): boolean;
