// An authorization server that people sign in at: the `oidc-provider` package, with its own pages.
//
//   node sign-in.mjs PORT REDIRECT_URI AUDIENCE [AUD]
//
// It listens on that port of 127.0.0.1 (0: any), prints one line, {"issuer":"http://127.0.0.1:PORT"}, and exits when its
// stdin closes. Whatever name and password are given are right. Clients, each with the secret `secret`: `gateway`, by the code
// flow with PKCE, and `systems`, by client credentials. `root` is an administrator, and whoever else signs in an employee. Tokens are asked
// for by AUDIENCE, and have it for their audience, unless AUD says otherwise.

import { createServer } from 'node:http';

import { Provider, errors } from 'oidc-provider';

console.log = console.info = console.debug = console.warn = console.error;

const [port, redirectUri, resource, audience = resource] = process.argv.slice(2);
const SCOPE = 'events:read stats:read';

const provider = (issuer) =>
  new Provider(issuer, {
    clients: [
      {
        client_id: 'gateway',
        client_secret: 'secret',
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: [redirectUri],
      },
      {
        client_id: 'systems',
        client_secret: 'secret',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    scopes: ['openid', 'offline_access', ...SCOPE.split(' ')],
    pkce: { required: () => true },
    rotateRefreshToken: true,
    issueRefreshToken: () => true,
    extraTokenClaims(ctx, { accountId }) {
      if (!accountId) return undefined;
      // when they have signed in stands in what the token is issued for, and in no access token by itself
      const { AuthorizationCode, RefreshToken } = ctx.oidc.entities;
      const auth_time = (AuthorizationCode ?? RefreshToken)?.authTime;
      return { roles: [accountId === 'root' ? 'admin' : 'employee'], auth_time };
    },
    // its own client needs nobody's consent
    async loadExistingGrant({ oidc }) {
      const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
      grant.addOIDCScope('openid offline_access');
      await grant.save();
      return grant;
    },
    features: {
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo(ctx, asked) {
          if (asked !== resource) throw new errors.InvalidTarget();
          return { scope: SCOPE, audience, accessTokenFormat: 'jwt', accessTokenTTL: 120 };
        },
      },
    },
  });

for (const event of ['end', 'close', 'error']) process.stdin.on(event, () => process.exit());
process.stdin.resume();

let callback;
const server = createServer((request, response) => callback(request, response));
server.listen(Number(port), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  callback = provider(issuer).callback();
  process.stdout.write(`${JSON.stringify({ issuer })}\n`);
});
