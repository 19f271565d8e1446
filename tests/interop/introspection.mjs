// An authorization server whose tokens are asked about: the `oidc-provider` package with opaque
// tokens, introspection (RFC 7662, and RFC 9701 signed), revocation and back-channel logout.
//
//   node introspection.mjs [OPTIONS]
//
// OPTIONS is JSON, {"port":0,"logout":"http://127.0.0.1:…/logout","key":{…}}, all optional: the port,
// where logout tokens go, and the public JWK of the client that signs its assertions.
//
// It listens on that port of 127.0.0.1 (0: any), prints one line, {"issuer":"http://127.0.0.1:PORT"},
// and exits when its stdin closes. Each client's secret is `secret`, unless it is said otherwise.
//
// Clients that get tokens, by the code flow with PKCE, or by client credentials:
//   opaque     opaque tokens, for whatever resource
//   jwt        JWTs (ES256)
// Clients that ask about them:
//   https://api.test/:a b   client_secret_basic, with the secret `%+:&="`: neither is understood without
//                           the form-encoding of RFC 6749
//   post       client_secret_post
//   assertion  private_key_jwt, by the key of OPTIONS
//   elsewhere  client_secret_basic; all tokens are inactive to it, as they are not for it
//
//   POST /control/sign-in?client=opaque&sub=alice[&resource=][&scope=]   200; what the token endpoint says
//   POST /control/sign-out?sub=alice                                     204; everywhere, as the user does it
//   POST /control/asked                                                  200; how often introspection was asked for
//
// How it answers, as JSON with `no-store` (tests/introspection/answers has examples):
//
//   active     `active`, `client_id`, `exp`, `iat`, `iss`, `token_type` ("Bearer") always; `aud`, a string, if
//              the token was got for a resource; `scope` if there is any; `sub` and `sid` of a user, neither of
//              a client; extra claims beside them; `jti` never, as an opaque token's is its text
//   inactive   {"active":false} and nothing else: revoked, over, signed out, made up, or not for who asks
//   a JWT      400 {"error":"unsupported_token_type"}: it is verified by keys, or not at all
//   to us      401 {"error":"invalid_client"} for a wrong secret and an unknown client, with `WWW-Authenticate:
//              Basic` if `Authorization` was sent; 400 {"error":"invalid_request"} for Basic credentials that
//              are no form-encoding, for none at all, and for no `token`
//   signed     whenever `application/token-introspection+jwt` is accepted: `typ` is `token-introspection+jwt`,
//              and `iss`, `aud` (who asks), `iat` stand beside `token_introspection`; no `exp`, no `jti`
//
// Its logout tokens: `typ` is `logout+jwt`, with `iss`, `aud` (the client), `iat`, `exp` (2 minutes), `jti`,
// `events`, `sub` and `sid`. A session has another `sid` for each of its clients, the one of its ID tokens
// and answers.

import { createHash, generateKeyPair, randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { promisify } from 'node:util';

import { Provider, errors } from 'oidc-provider';

// stdout is for the one line
console.log = console.info = console.debug = console.warn = console.error;

const { port = 0, logout = 'http://127.0.0.1:1/logout', key } = JSON.parse(process.argv[2] ?? '{}');
const API = 'https://api.test';
const SCOPE = 'orders:read orders:write';
const REDIRECT = 'http://127.0.0.1:1/callback'; // read, never followed

const asking = { grant_types: [], redirect_uris: [], response_types: [] };
const getting = {
  client_secret: 'secret',
  token_endpoint_auth_method: 'client_secret_post',
  grant_types: ['authorization_code', 'client_credentials', 'refresh_token'],
  redirect_uris: [REDIRECT],
  backchannel_logout_uri: logout,
  backchannel_logout_session_required: true, // by which tokens get their `sid`
};
const clients = [
  { client_id: 'opaque', ...getting },
  { client_id: 'jwt', ...getting },
  { client_id: 'https://api.test/:a b', client_secret: '%+:&="', ...asking },
  { client_id: 'post', client_secret: 'secret', token_endpoint_auth_method: 'client_secret_post', ...asking },
  { client_id: 'elsewhere', client_secret: 'secret', ...asking },
];
if (key) {
  clients.push({
    client_id: 'assertion',
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: { keys: [key] },
    ...asking,
  });
}

async function newProvider(issuer) {
  const { privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
  const provider = new Provider(issuer, {
    clients,
    clientDefaults: { id_token_signed_response_alg: 'ES256', introspection_signed_response_alg: 'ES256' },
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'ES256' }] },
    scopes: ['openid', 'offline_access', ...SCOPE.split(' ')],
    ttl: { AccessToken: 300, ClientCredentials: 300 },
    // its own clients need nobody's consent
    async loadExistingGrant({ oidc }) {
      const known = await oidc.provider.Grant.find(oidc.session.grantIdFor(oidc.client.clientId));
      if (known) return known; // another would end the tokens of the one before
      const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
      grant.addOIDCScope(`openid offline_access ${SCOPE}`);
      grant.addResourceScope(API, SCOPE);
      await grant.save();
      return grant;
    },
    interactions: { url: (ctx, { uid }) => `/control/interaction/${uid}` },
    extraTokenClaims: (ctx, token) => ({ tenant_id: 't-1', ...(token.accountId && { roles: ['machine'] }) }),
    // JWTs say nothing about the session by themselves
    formats: { customizers: { jwt: (ctx, token, { payload }) => void (payload.sid = token.sid) } },
    // the logout tokens' receiver is on the loopback, from which they are kept by default
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
    features: {
      backchannelLogout: { enabled: true },
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true, allowedPolicy: (ctx, client) => client.clientId !== 'elsewhere' },
      jwtIntrospection: { enabled: true },
      revocation: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource(ctx, form) {
          ctx.body = form;
        },
      },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo(ctx, resource, client) {
          if (resource !== API) throw new errors.InvalidTarget();
          const signed = { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
          return { scope: SCOPE, audience: resource, ...(client.clientId === 'jwt' && signed) };
        },
      },
    },
  });
  provider.on('server_error', (ctx, error) => console.error(error));
  for (const event of ['backchannel.error', 'introspection.error', 'grant.error', 'authorization.error']) {
    provider.on(event, (ctx, error) => console.error(event, error));
  }
  return provider;
}

let issuer;
let provider;
let asked = 0;
const browsers = new Map(); // the cookies of each user

/** Requests something as this user's browser; the caller follows redirects. */
async function browse(sub, url, form) {
  if (!browsers.has(sub)) browsers.set(sub, new Map());
  const cookies = browsers.get(sub);
  const response = await fetch(new URL(url, issuer), {
    method: form ? 'POST' : 'GET',
    body: form && new URLSearchParams(form),
    headers: { cookie: [...cookies].map((pair) => pair.join('=')).join('; ') },
    redirect: 'manual',
  });
  for (const line of response.headers.getSetCookie()) {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
    if (value === '') cookies.delete(name);
    else cookies.set(name, value);
  }
  return response;
}

const control = {
  async 'sign-in'({ searchParams: asks }) {
    const [client_id, sub] = [asks.get('client'), asks.get('sub')];
    const resource = asks.get('resource') ?? API; // none, if it is empty
    const verifier = randomBytes(32).toString('base64url');
    const params = new URLSearchParams({
      client_id,
      response_type: 'code',
      redirect_uri: REDIRECT,
      scope: asks.get('scope') ?? `openid ${SCOPE}`,
      login_hint: sub,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
      ...(resource && { resource }),
    });
    let location = `/auth?${params}`;
    for (let steps = 0; !location.startsWith(REDIRECT) && steps < 8; steps += 1) {
      location = (await browse(sub, location)).headers.get('location');
    }
    const response = await fetch(`${issuer}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        client_id,
        client_secret: 'secret',
        code: new URL(location).searchParams.get('code'),
        redirect_uri: REDIRECT,
        code_verifier: verifier,
        ...(resource && { resource }),
      }),
    });
    return [response.status, await response.text()];
  },

  async 'sign-out'({ searchParams: asks }) {
    const sub = asks.get('sub');
    const page = await (await browse(sub, '/session/end')).text();
    const [, xsrf] = /name="xsrf" value="([^"]+)"/.exec(page);
    const { status } = await browse(sub, '/session/end/confirm', { xsrf, logout: 'yes' });
    return [status === 303 ? 204 : 500];
  },

  asked: () => [200, String(asked)],
};

async function handleControl(request, response, url) {
  const name = url.pathname.slice('/control/'.length);
  let status, text;
  try {
    if (name.startsWith('interaction/')) {
      const { params } = await provider.interactionDetails(request, response);
      await provider.interactionFinished(request, response, { login: { accountId: params.login_hint } });
      return;
    }
    if (!Object.hasOwn(control, name)) [status, text] = [404, 'no such endpoint'];
    else [status, text] = await control[name](url);
  } catch (error) {
    console.error(error);
    [status, text] = [500, String(error)];
  }
  response.statusCode = status;
  response.end(text);
}

for (const event of ['end', 'close', 'error']) process.stdin.on(event, () => process.exit());
process.stdin.resume();

let callback;
const server = createServer((request, response) => {
  const url = new URL(request.url, issuer);
  if (url.pathname.startsWith('/control/')) {
    handleControl(request, response, url);
    return;
  }
  if (url.pathname === '/token/introspection') asked += 1;
  callback(request, response);
});
server.listen(port, '127.0.0.1', async () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  provider = await newProvider(issuer);
  callback = provider.callback();
  process.stdout.write(`${JSON.stringify({ issuer })}\n`);
});
