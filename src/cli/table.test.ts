import test from 'ava';
import { formatTable } from './table.ts';

test('columns are as wide as their widest cell, and lines have no blanks at their end', (t) => {
  t.is(
    formatTable([['NAME', 'X', 'LAST'], ['a-long-name', '', ''], ['b', 'y', 'z'], ['c']], 2),
    'NAME         X  LAST\na-long-name\nb            y  z\nc\n',
  );
  t.is(formatTable([]), '');
});
