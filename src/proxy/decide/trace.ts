/** One thing that was looked at on the way to a decision. */
export interface Step {
  readonly what:
    | 'listener'
    | 'filter chain'
    | 'network filter'
    | 'path'
    | 'virtual host'
    | 'route'
    | 'filter'
    | 'policy'
    | 'action';
  /** As the configuration calls it. */
  readonly name: string;
  /** In a word or two: `taken`, `passed over`, `allows`, `refuses`, …. */
  readonly outcome: string;
  /** ''. */
  readonly why: string;
}

/** Takes down the steps of a decision in their order. */
export class DecisionTrace {
  readonly steps: Step[] = [];
  /** Routes and policies may be many: the rest is counted. */
  static readonly maxSteps = 2000;
  dropped = 0;

  note(what: Step['what'], name: string, outcome: string, why = ''): void {
    if (this.steps.length < DecisionTrace.maxSteps) this.steps.push({ what, name, outcome, why });
    else this.dropped++;
  }
}
