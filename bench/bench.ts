export interface BenchOptions {
  /** What `--provider`, `--cluster` and `--keep` say. */
  provider?: string;
  cluster?: string;
  keep: boolean;
  rounds: number;
  /** Folder for the results. */
  out: string;
  /** How this run was started. */
  command: string;
  /** Given one line a step. */
  progress: (line: string) => void;
}

/** Measures, writes `NAME.md` and `NAME.json` into the folder, and gives the exit code. */
export type Bench = (options: BenchOptions) => Promise<number>;
