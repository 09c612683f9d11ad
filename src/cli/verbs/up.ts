import { lacking, runMesh } from '../../up/outside.ts';
import { CliError, exit, usageError } from '../exit.ts';
import { verb } from '../verb.ts';

export default verb({
  name: 'up',
  summary: 'Run a mesh on this machine, without Kubernetes',
  usage: 'FILE|FOLDER... | --demo',
  about:
    'Reads Services, Deployments and Istio resources and runs a local process with a proxy for each replica, as root in network ' +
    'namespaces with real iptables, else on loopback addresses, where the programs must be Node’s. A container image stands for a local program: Bookinfo’s are known, others are named by the annotation ' +
    'up.lateen.dev/command of the pod template. Changes of Istio resources take effect at once. Nothing is left behind.',
  examples: [
    ['Bookinfo, with what there is to see', 'lateen up --demo'],
    ['The same, ending by itself', 'lateen up --demo --once'],
    ['Your own', 'lateen up ./manifests'],
  ],
  flags: {
    demo: { type: 'boolean', summary: 'Run Bookinfo and show mutual TLS, a traffic split and a denied request' },
    once: { type: 'boolean', summary: 'End when everything was shown, instead of serving until Ctrl-C' },
    loopback: { type: 'boolean', summary: 'Use loopback addresses even where network namespaces can be had' },
    port: {
      type: 'string',
      summary: 'Port of 127.0.0.1 for the ingress gateway, 0 for any',
      placeholder: 'PORT',
      default: '8080',
    },
  },
  maxArgs: 32,
  async run({ args, flags, signal }) {
    if (!flags.demo && args.length === 0)
      throw usageError('name files or folders of manifests, or --demo', 'lateen up --demo');
    const port = Number(flags.once ? 0 : flags.port);
    if (!Number.isInteger(port) || port < 0 || port > 65_535) throw usageError(`--port is 0–65535, is "${flags.port}"`);
    if (process.platform !== 'linux')
      throw new CliError(
        'lateen up needs Linux: other systems give a program one loopback address, and a mesh needs one for each pod',
        {
          hint: 'run it in a Linux container or virtual machine; neither root nor iptables is needed there',
        },
      );
    const loopback = flags.loopback ? 'asked for by --loopback' : lacking();
    const more = [...(flags.demo ? ['--demo'] : []), ...(flags.once ? ['--once'] : []), ...args];
    const code = await runMesh({ args: more, loopback, port, signal });
    return code === 0 ? exit.ok : exit.failure;
  },
});
