/** Callers that do not come to an end: with a head, with a body, with anything at all. */
import { get, type HttpCase, prefix, replies, to } from '../case.ts';

const halfHead = 'GET / HTTP/1.1\r\nHost: HOST\r\nx-hal';
const halfBody = 'POST / HTTP/1.1\r\nHost: HOST\r\ncontent-length: 10\r\n\r\nhalf';
const halfChunk = 'POST / HTTP/1.1\r\nHost: HOST\r\ntransfer-encoding: chunked\r\n\r\n5\r\nha';

const slow = (name: string, manager: object, requests: string[], route: object = {}): HttpCase => ({
  name: `slow: ${name}`,
  manager: manager as never,
  routes: [prefix('/', to('a', { timeout: '0s', ...route }))],
  requests,
});

export const slowCallers: readonly HttpCase[] = [
  slow('half a head, and its time is up', { request_headers_timeout: '0.2s' }, [halfHead, 'G', get('/')]),
  slow('half a head, and nothing moves', { stream_idle_timeout: '0.2s' }, [halfHead, get('/')]),
  slow('half a head, and the request’s time is up', { request_timeout: '0.2s' }, [halfHead, get('/')]),
  slow('nothing at all', { common_http_protocol_options: { idle_timeout: '0.2s' } }, ['', get('/')]),
  slow('half a body, and its time is up', { request_timeout: '0.2s' }, [halfBody, halfChunk, get('/')]),
  slow('half a body, and nothing moves', { stream_idle_timeout: '0.2s' }, [halfBody, halfChunk, get('/')]),
  slow('half a body, and nothing moves, says the route', {}, [halfBody, halfChunk], { idle_timeout: '0.2s' }),
  slow('half a body, and the stream’s time is up', {}, [halfBody], {
    max_stream_duration: { max_stream_duration: '0.2s' },
  }),
  slow('a host that is silent, and nothing moves', { stream_idle_timeout: '0.2s' }, [get('/', replies('SILENT'))]),
  slow('the head is there in time', { request_headers_timeout: '0.2s' }, [get('/', replies('SILENT'))], {
    timeout: '0.6s',
  }),
];
