/** `@peculiar/x509` with the polyfill that it needs in front. */
import 'reflect-metadata';

export * from '@peculiar/x509';
