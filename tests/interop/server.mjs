// An authorization server for the interop tests: the `oidc-provider` package, with fresh keys and
// one client per signing algorithm.
//
// It listens on a free port of 127.0.0.1, prints one line, {"issuer":"http://127.0.0.1:PORT"}, and
// exits when its stdin closes, so that it never outlives the test which started it.
//
//   POST /control/rotate                       204; every key is replaced by a new one
//   POST /control/rotate?keep                  204; the same, but the present keys are still published
//   POST /control/id-token?client=ES256&sub=a  200; an ID token of that client
//   POST /control/opaque                       200; an access token which is no JWT
//   POST /control/claims?{...}                 204; access tokens have these claims from now on
//
// Everything else is the provider's own: /.well-known/openid-configuration, /jwks, /token ...

import { generateKeyPair, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { promisify } from 'node:util';

import { Provider, errors } from 'oidc-provider';

// stdout is for the one line; the provider's notices and warnings go to stderr.
console.log = console.info = console.debug = console.error;

const CLIENT_SECRET = 'secret';
const LIFETIME = 300; // seconds, of access tokens and ID tokens
const RESOURCES = ['https://api.test', 'https://other.test'];
const SCOPE = 'orders:read orders:write';

const RSA = ['rsa', { modulusLength: 2048 }];
// The algorithms of the signing keys. Each is also the id of the client whose tokens it signs.
const SIGNING = {
  RS256: RSA,
  PS256: RSA,
  ES256: ['ec', { namedCurve: 'P-256' }],
  EdDSA: ['ed25519', {}],
  Ed25519: ['ed25519', {}], // the same signature under its RFC 9864 name
};

const clients = Object.keys(SIGNING).map((alg) => ({
  client_id: alg,
  client_secret: CLIENT_SECRET,
  token_endpoint_auth_method: 'client_secret_post',
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  id_token_signed_response_alg: alg,
}));

async function newKey(alg, use, [type, options]) {
  const { privateKey } = await promisify(generateKeyPair)(type, options);
  return { ...privateKey.export({ format: 'jwk' }), kid: `${alg}-${randomUUID()}`, use, alg };
}

function newKeys() {
  const signing = Object.entries(SIGNING).map(([alg, type]) => newKey(alg, 'sig', type));
  // Real servers publish keys which are not for signatures as well.
  return Promise.all([...signing, newKey('RSA-OAEP', 'enc', RSA)]);
}

async function newProvider(issuer, kept = []) {
  const keys = await newKeys(); // of those for an algorithm, the first signs
  const provider = new Provider(issuer, {
    clients,
    jwks: { keys: [...keys, ...kept] },
    scopes: SCOPE.split(' '),
    ttl: { ClientCredentials: LIFETIME, IdToken: LIFETIME },
    extraTokenClaims: () => extraClaims,
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      encryption: { enabled: true }, // without it the RSA-OAEP key is refused
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo(ctx, resource, client) {
          if (!RESOURCES.includes(resource)) throw new errors.InvalidTarget();
          return {
            scope: SCOPE,
            audience: resource,
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: client.clientId } },
          };
        },
      },
    },
  });
  provider.on('server_error', (ctx, error) => console.error(error));
  return { provider, keys, callback: provider.callback() };
}

let issuer;
let extraClaims = { roles: ['machine'], tenant_id: 't-1' };
let current; // the provider in use; rotation replaces it

const control = {
  async rotate({ searchParams }) {
    current = await newProvider(issuer, searchParams.has('keep') ? current.keys : []);
    return [204];
  },

  async claims({ search }) {
    extraClaims = JSON.parse(decodeURIComponent(search.slice(1)));
    return [204];
  },

  async 'id-token'({ searchParams }) {
    const { provider } = current;
    const client = await provider.Client.find(searchParams.get('client') ?? 'ES256');
    if (!client) return [404, 'no such client'];
    const token = new provider.IdToken({ sub: searchParams.get('sub') ?? 'alice' }, { client });
    token.scope = 'openid'; // otherwise the provider leaves out the subject
    return [200, await token.issue({ use: 'idtoken' })];
  },

  // What a client gets which forgets the resource indicator.
  async opaque() {
    const response = await fetch(`${issuer}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: 'ES256',
        client_secret: CLIENT_SECRET,
      }),
    });
    const body = await response.json();
    return response.ok ? [200, body.access_token] : [500, JSON.stringify(body)];
  },
};

async function handleControl(request, response, url) {
  const name = url.pathname.slice('/control/'.length);
  let status, text;
  try {
    if (!Object.hasOwn(control, name)) [status, text] = [404, 'no such endpoint'];
    else if (request.method !== 'POST') [status, text] = [405, 'POST only'];
    else [status, text] = await control[name](url);
  } catch (error) {
    console.error(error);
    [status, text] = [500, String(error)];
  }
  response.statusCode = status;
  if (text !== undefined) response.setHeader('content-type', 'text/plain');
  response.end(text);
}

const server = createServer((request, response) => {
  if (request.url.startsWith('/control/')) {
    handleControl(request, response, new URL(request.url, issuer));
  } else {
    current.callback(request, response);
  }
});

for (const event of ['end', 'close', 'error']) process.stdin.on(event, () => process.exit());
process.stdin.resume();

server.listen(0, '127.0.0.1', async () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  current = await newProvider(issuer);
  process.stdout.write(`${JSON.stringify({ issuer })}\n`);
});
