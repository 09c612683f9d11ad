export interface BenchOptions {
  /** What `--provider`, `--cluster` and `--keep` say. */
  provider?: string;
  cluster?: string;
  keep: boolean;
  /** How often each thing is measured; each bench has its own default. */
  rounds?: number;
  /** How long one measurement, or the soak, takes. */
  seconds?: number;
  /** Cases to run; all when there is none. */
  cases: string[];
  /** Other proxies to measure beside ours. */
  peers?: string[];
  /** Folder for the results. */
  out: string;
  /** How this run was started. */
  command: string;
  /** Given one line a step. */
  progress: (line: string) => void;
}

/** Measures, writes `NAME.md` and `NAME.json` into the folder, and gives the exit code. */
export type Bench = (options: BenchOptions) => Promise<number>;
