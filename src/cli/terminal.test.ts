import test from 'ava';
import { Terminal } from './terminal.ts';

function screen(isTTY: boolean, env: Record<string, string> = {}, columns = 20) {
  const written: string[] = [];
  const terminal = new Terminal({ write: (text) => written.push(text), isTTY, columns }, { env, spinMs: 1_000_000 });
  return { terminal, text: () => written.join('') };
}

test('into a file: plain lines, each news once', (t) => {
  const { terminal, text } = screen(false);
  const step = terminal.step('Installing');
  step.update('Installing');
  step.update('1 of 2 ready');
  step.done('Installed');
  terminal.failure('Broken');
  terminal.warning('Careful');
  t.is(text(), '  Installing\n  1 of 2 ready\n✔ Installed\n✘ Broken\n! Careful\n');
});

test('on a screen: one line that is rewritten and ends in a mark', (t) => {
  const { terminal, text } = screen(true, { NO_COLOR: '1' });
  terminal.step('Installing a great many things').done('Installed');
  t.is(text(), '\r\x1b[2K⠋ Installing a gre…\r\x1b[2K✔ Installed\n');
});

test('colours', (t) => {
  t.true(screen(true).terminal.hasColors);
  t.false(screen(false).terminal.hasColors);
  t.false(screen(true, { NO_COLOR: '1' }).terminal.hasColors);
  t.true(screen(true, { NO_COLOR: '' }).terminal.hasColors);
  t.false(screen(true, { TERM: 'dumb' }).terminal.hasColors);
  t.true(screen(false, { FORCE_COLOR: '1' }).terminal.hasColors);
  t.is(screen(true).terminal.style('green', 'x'), '\x1b[32mx\x1b[39m');
});
