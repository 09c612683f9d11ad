import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const top = '/sys/fs/cgroup';

/** Version 2 has one hierarchy with its controllers listed at the top. */
function unified(): boolean {
  return existsSync(join(top, 'cgroup.controllers'));
}

function hierarchies(): string[] {
  if (unified()) return [top];
  return readdirSync(top)
    .map((name) => join(top, name))
    .filter((folder) => existsSync(join(folder, 'cgroup.procs')));
}

/** Makes the cgroup that a node's kubelet takes for its root, in every hierarchy, so that kubelets do not meet. */
export function makeCgroup(name: string): void {
  if (unified()) {
    const wanted = readFileSync(join(top, 'cgroup.controllers'), 'utf8').trim().split(' ');
    mkdirSync(join(top, name), { recursive: true });
    for (const folder of [top, join(top, name)])
      for (const controller of wanted) {
        try {
          writeFileSync(join(folder, 'cgroup.subtree_control'), `+${controller}`);
        } catch {
          // A controller that cannot be delegated here is one that pods go without.
        }
      }
    return;
  }
  for (const hierarchy of hierarchies()) {
    const folder = join(hierarchy, name);
    mkdirSync(folder, { recursive: true });
    // A new cpuset is empty, and no process may join it until both are filled (cpuset(7)).
    for (const file of ['cpuset.cpus', 'cpuset.mems'])
      if (existsSync(join(hierarchy, file))) writeFileSync(join(folder, file), readFileSync(join(hierarchy, file)));
  }
}

function remove(folder: string): boolean {
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true }))
      if (entry.isDirectory()) remove(join(folder, entry.name));
    rmdirSync(folder);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

/** Removes the cgroups of this name pattern, and returns those that still hold a process. */
export function removeCgroups(pattern: RegExp): string[] {
  return hierarchies()
    .flatMap((hierarchy) =>
      readdirSync(hierarchy)
        .filter((name) => pattern.test(name))
        .map((name) => join(hierarchy, name)),
    )
    .filter((folder) => !remove(folder));
}
