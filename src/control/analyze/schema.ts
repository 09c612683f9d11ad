/** What validation says of each resource alone: IST0002, IST0106, IST0130, IST0131, IST0133. */
import { isChecked, type Problem, validate } from '../../api/validate.ts';
import type { Code, Tell } from './finding.ts';
import type { View } from './view.ts';

export function analyzeSchemas(view: View, tell: Tell): void {
  for (const object of view.all) {
    if (!isChecked(object)) continue;
    const { errors, warnings } = validate(object);
    for (const { path, message } of errors)
      tell('IST0106', object, path, `Schema validation error: ${path}: ${message}`);
    for (const warning of warnings) tellWarning(object, warning, tell);
  }
}

function tellWarning(object: Parameters<Tell>[1], { code, path, message }: Problem, tell: Tell): void {
  const told: Code =
    code === 'deprecated'
      ? 'IST0002'
      : code !== 'unreachable'
        ? 'IST0133'
        : path.includes('.match[')
          ? 'IST0131'
          : 'IST0130';
  const text = {
    IST0002: `Deprecated: ${path} ${message}`,
    IST0130: `VirtualService rule ${path.replace(/^spec\./, '')} not used (${message}).`,
    IST0131: `VirtualService rule ${path.replace(/^spec\./, '')} is not used (${message}).`,
    IST0133: `Schema validation warning: ${path}: ${message}`,
  }[told as 'IST0002' | 'IST0130' | 'IST0131' | 'IST0133'];
  tell(told, object, path, text);
}
