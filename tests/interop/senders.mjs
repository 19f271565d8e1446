// An authorization server whose tokens are bound to their senders, and clients that use such tokens: the
// packages `oidc-provider`, `oauth4webapi` and `openid-client`.
//
// It listens on a free port of 127.0.0.1, prints one line, {"issuer":"http://127.0.0.1:PORT"}, and
// exits when its stdin closes. Clients, each with the secret `secret`, by client credentials and for
// https://api.test:
//   jwt, opaque                                 what their tokens are; bound to a key if they show a proof
//   certificate-jwt, certificate-opaque         bound to the certificate in `Client-Cert`, as if a proxy had
//                                               sent that
//   asking                                      asks about tokens (client_secret_basic)
//
//   POST /control/call   200; a client gets a token and calls a service with it. The body is JSON:
//
//     { "library": "oauth4webapi", "client": "jwt", "alg": "ES256", "calls": [{ "method": "GET", "url": "…" }] }
//
//   It makes these calls one after the other, or all at once if `"together": true` says so. The answer tells
//   the token, each request that was sent for the calls, and what came of each call:
//
//     { "token": "…",
//       "sent": [{ "proof": "…", "status": 401, "nonce": "…", "challenges": "…" }],
//       "results": [{ "status": 200, "body": "…" }] }
//
//   Where the client gives up, its result is {"status","challenges"}, as the library has read them.

import { generateKeyPair, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { promisify } from 'node:util';

import * as oauth from 'oauth4webapi';
import { Provider, errors } from 'oidc-provider';
import * as openid from 'openid-client';

// stdout is for the one line
console.log = console.info = console.debug = console.warn = console.error;

const API = 'https://api.test';
const SCOPE = 'orders:read orders:write';
const SECRET = 'secret';
const PROOFS = ['ES256', 'ES384', 'Ed25519', 'EdDSA', 'PS256', 'RS256'];

const getting = {
  client_secret: SECRET,
  token_endpoint_auth_method: 'client_secret_post',
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
};
const clients = [
  { client_id: 'jwt', ...getting },
  { client_id: 'opaque', ...getting },
  { client_id: 'certificate-jwt', tls_client_certificate_bound_access_tokens: true, ...getting },
  { client_id: 'certificate-opaque', tls_client_certificate_bound_access_tokens: true, ...getting },
  { ...getting, client_id: 'asking', token_endpoint_auth_method: 'client_secret_basic', grant_types: [] },
];

async function newProvider() {
  const { privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
  const provider = new Provider(issuer, {
    clients,
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'ES256' }] },
    scopes: SCOPE.split(' '),
    ttl: { ClientCredentials: 300 },
    enabledJWA: { dPoPSigningAlgValues: PROOFS },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      dPoP: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        // RFC 9440: base64 between colons
        getCertificate: (ctx) => ctx.get('client-cert').slice(1, -1),
      },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo(ctx, resource, client) {
          if (resource !== API) throw new errors.InvalidTarget();
          const signed = { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
          return { scope: SCOPE, audience: resource, ...(client.clientId.endsWith('jwt') && signed) };
        },
      },
    },
  });
  for (const event of ['server_error', 'introspection.error', 'grant.error']) {
    provider.on(event, (ctx, error) => console.error(event, error));
  }
  return provider;
}

const asked = { resource: API, scope: SCOPE };

// Each gives a client's token, and a function by which it calls a service and does what a challenge says.
const libraries = {
  /** The one that leaves it to its caller to try again. */
  async oauth4webapi(client_id, alg, fetch) {
    const insecure = { [oauth.allowInsecureRequests]: true }; // all is on the loopback
    const [client, url] = [{ client_id }, new URL(issuer)];
    const DPoP = oauth.DPoP(client, await oauth.generateKeyPair(alg));
    const discovered = await oauth.discoveryRequest(url, insecure);
    const as = await oauth.processDiscoveryResponse(url, discovered);
    const credentials = oauth.ClientSecretPost(SECRET);
    const granted = await oauth.clientCredentialsGrantRequest(as, client, credentials, asked, { DPoP, ...insecure });
    const { access_token: token } = await oauth.processClientCredentialsResponse(as, client, granted);
    const options = { DPoP, ...insecure, [oauth.customFetch]: fetch };
    const send = (method, address, body) =>
      oauth.protectedResourceRequest(token, method, address, undefined, body, options);
    const call = (...request) =>
      send(...request).catch((error) => {
        if (oauth.isDPoPNonceError(error)) return send(...request);
        throw error;
      });
    return { token, call };
  },

  /** The one that tries again by itself. */
  async 'openid-client'(client_id, alg, fetch) {
    const execute = [openid.allowInsecureRequests];
    const secret = openid.ClientSecretPost(SECRET);
    const config = await openid.discovery(new URL(issuer), client_id, undefined, secret, { execute });
    const DPoP = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair(alg));
    const { access_token: token } = await openid.clientCredentialsGrant(config, asked, { DPoP });
    config[openid.customFetch] = fetch;
    const call = (method, address, body) =>
      openid.fetchProtectedResource(config, token, address, method, body, undefined, { DPoP });
    return { token, call };
  },
};

/** What a library has read of a refusal. */
function refusal(error) {
  if (!(error instanceof oauth.WWWAuthenticateChallengeError)) throw error;
  return { status: error.status, challenges: error.cause };
}

async function call({ library, client, alg, calls, together = false }) {
  const sent = [];
  const recording = async (url, options) => {
    const response = await fetch(url, options);
    const { headers, status } = response;
    const proof = new Headers(options.headers).get('dpop');
    sent.push({ proof, status, nonce: headers.get('dpop-nonce'), challenges: headers.get('www-authenticate') });
    return response;
  };
  const made = await libraries[library](client, alg, recording);
  const results = [];
  for (const { method, url, body } of calls) {
    const result = made.call(method, new URL(url), body).then(
      async (response) => ({ status: response.status, body: await response.text() }),
      refusal,
    );
    results.push(together ? result : await result);
  }
  return { token: made.token, sent, results: await Promise.all(results) };
}

async function handleCall(request, response) {
  try {
    response.end(JSON.stringify(await call(await json(request))));
  } catch (error) {
    console.error(error);
    response.statusCode = 500;
    response.end(String(error.stack));
  }
}

for (const event of ['end', 'close', 'error']) process.stdin.on(event, () => process.exit());
process.stdin.resume();

let issuer;
let callback;
const server = createServer((request, response) => {
  if (request.url === '/control/call') handleCall(request, response);
  else callback(request, response);
});
server.listen(0, '127.0.0.1', async () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  callback = (await newProvider()).callback();
  process.stdout.write(`${JSON.stringify({ issuer })}\n`);
});
