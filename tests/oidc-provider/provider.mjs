// A certified OpenID Provider for tests: `node provider.mjs '{"rotateRegistrationAccessToken": true}'`.
//
// It takes free ports, prints one line of JSON with its `issuer` and the URL of its `control`, and ends when its
// standard input does, so that it never outlives the test that started it. What is asked of `control` stands at the
// end of this file.

import { createPrivateKey, generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { setImmediate as soon } from 'node:timers/promises';
import { Store } from './store.mjs';
import { stopTime } from './time.mjs';

// Standard output is for the one line; what the library tells its developers is not.
console.info = console.error;
console.log = console.error;
const { Provider, errors } = await import('oidc-provider');

const settings = {
  // Whether a client gets the id that it asks for (an extension), or one of the provider's making.
  honourClientId: false,
  // Whether each update of a client gives it a new registration access token (RFC 7592 section 3).
  rotateRegistrationAccessToken: true,
  // Whether authorization requests must be pushed (RFC 9126), and whether they can be.
  requirePushedRequests: false,
  pushedRequests: true,
  // Whether a jwks_uri on this machine is fetched. Without a hook the library refuses to, since somebody who may
  // register could make it fetch what is reachable from here alone.
  fetchesFromLoopback: true,
  // Metadata that the library does not know is dropped, unless it is named here.
  extraClientMetadata: [],
  // Whether each refresh gives a new refresh token.
  rotateRefreshTokens: true,
  // How clients can authenticate.
  clientAuthMethods: ['private_key_jwt', 'client_secret_basic', 'client_secret_post'],
  // The algorithms of client assertions that it accepts and lists; null for all that the library knows.
  assertionAlgorithms: null,
  // Whether an assertion must name the token endpoint as its audience, at each endpoint, as some providers
  // insist; the library by itself takes the issuer and the endpoint that was called too.
  audienceIsTokenEndpoint: false,
  // What its signing keys are: RSA or EC (P-256).
  keyType: 'RSA',
  // APIs for which there are tokens (RFC 8707), and the scopes of these. Clients may then have the grant of client
  // credentials, and exchange tokens (RFC 8693).
  resources: [],
  resourceScopes: [],
  // Seconds.
  accessTokenLifetime: 4,
  grantLifetime: 3600,
  // Milliseconds since 1970: the time, which then stands still until a test moves it. null for the machine's.
  now: null,
  ...JSON.parse(process.argv[2] ?? '{}'),
};

const people = {
  ada: { name: 'Ada Lovelace', email: 'ada@example.com', email_verified: true },
  grace: { name: 'Grace Hopper', email: 'grace@example.com', email_verified: true },
};

// Moves the time, where it stands still.
const setTime = settings.now === null ? undefined : stopTime(settings.now);
const store = new Store();
// What has happened, for a test to look at.
const seen = { assertions: [], jwksFetches: 0, errors: [] };
const cookieKeys = [randomUUID()];
const hour = 3600;

// By way of PEM: Node 20 hangs now and then where a key is exported while what has made it is collected as garbage, since
// both take the lock of that key.
function signingKey() {
  const encoding = {
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  };
  const { privateKey } = settings.keyType === 'EC'
    ? generateKeyPairSync('ec', { namedCurve: 'P-256', ...encoding })
    : generateKeyPairSync('rsa', { modulusLength: 2048, ...encoding });
  return createPrivateKey(privateKey).export({ format: 'jwk' });
}

// A hook that fetches without the library's dispatcher, which refuses addresses like 127.0.0.1.
function fetchAnything(url, { dispatcher, ...options }) {
  seen.jwksFetches += 1;
  return fetch(url, options);
}

function configuration(keys) {
  return {
    jwks: { keys },
    adapter: (model) => store.adapter(model),
    cookies: { keys: cookieKeys },
    scopes: ['openid', 'offline_access', ...settings.resourceScopes],
    claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
    clientAuthMethods: settings.clientAuthMethods,
    ...(settings.assertionAlgorithms && {
      enabledJWA: { clientAuthSigningAlgValues: settings.assertionAlgorithms },
    }),
    extraClientMetadata: { properties: settings.extraClientMetadata },
    pkce: { required: () => true },
    rotateRefreshToken: settings.rotateRefreshTokens,
    ttl: {
      AccessToken: settings.accessTokenLifetime,
      Grant: settings.grantLifetime,
      IdToken: hour,
      Interaction: hour,
      RefreshToken: hour,
      Session: hour,
    },
    extraTokenClaims,
    findAccount: (ctx, id) => people[id] && { accountId: id, claims: () => ({ sub: id, ...people[id] }) },
    assertJwtClientAuthClaimsAndHeader: (ctx, { aud, jti }, { alg, kid }) => {
      seen.assertions.push({ endpoint: ctx.oidc.route, grant: ctx.oidc.params.grant_type, aud, jti, alg, kid });
    },
    ...(settings.fetchesFromLoopback && { fetch: fetchAnything }),
    features: {
      devInteractions: { enabled: true },
      registration: {
        enabled: true,
        initialAccessToken: true,
        ...(settings.honourClientId && { idFactory: (ctx) => ctx.oidc.body.client_id ?? randomUUID() }),
      },
      registrationManagement: {
        enabled: true,
        rotateRegistrationAccessToken: settings.rotateRegistrationAccessToken,
      },
      pushedAuthorizationRequests: {
        enabled: settings.pushedRequests,
        requirePushedAuthorizationRequests: settings.requirePushedRequests,
      },
      ...(settings.resources.length > 0 && {
        clientCredentials: { enabled: true },
        resourceIndicators: { enabled: true, defaultResource: () => undefined, getResourceServerInfo },
      }),
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true },
    },
  };
}

const tokenExchange = 'urn:ietf:params:oauth:grant-type:token-exchange';

// Who acts for the person of an exchanged token (RFC 8693 section 4.1).
function extraTokenClaims(ctx, token) {
  return ctx?.oidc.params?.grant_type === tokenExchange ? { act: { sub: token.clientId } } : undefined;
}

// What the token of an API looks like: a JWT for it alone.
function getResourceServerInfo(ctx, resource) {
  if (!settings.resources.includes(resource)) throw new errors.InvalidTarget();
  return {
    scope: settings.resourceScopes.join(' '),
    audience: resource,
    accessTokenTTL: settings.accessTokenLifetime,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: settings.keyType === 'EC' ? 'ES256' : 'RS256' } },
  };
}

// The library has no exchange of tokens by itself.
function exchangeTokens(built) {
  const accessToken = 'urn:ietf:params:oauth:token-type:access_token';
  const params = ['subject_token', 'subject_token_type', 'requested_token_type', 'resource', 'scope'];
  built.registerGrantType(tokenExchange, async (ctx) => {
    const { client, params: asked } = ctx.oidc;
    const subject = await built.AccessToken.find(asked.subject_token);
    if (asked.subject_token_type !== accessToken || subject?.clientId !== client.clientId) {
      throw new errors.InvalidGrant('the subject token is not good');
    }
    const info = getResourceServerInfo(ctx, asked.resource);
    const token = new built.AccessToken({
      accountId: subject.accountId,
      client,
      grantId: subject.grantId,
      gty: 'token_exchange',
      scope: asked.scope,
    });
    token.resourceServer = new built.ResourceServer(asked.resource, info);
    ctx.body = {
      access_token: await token.save(),
      issued_token_type: accessToken,
      token_type: 'Bearer',
      expires_in: token.expiration,
      scope: asked.scope,
    };
  }, params);
}

function build() {
  const built = new Provider(issuer, configuration(keys));
  if (settings.audienceIsTokenEndpoint) {
    built.OIDCContext.prototype.clientJwtAuthExpectedAudience = () => new Set([`${issuer}/token`]);
  }
  if (settings.resources.length > 0) exchangeTokens(built);
  // The library never uses an initial access token up by itself.
  built.on('registration_create.success', (ctx) => ctx.oidc.entities.InitialAccessToken?.destroy());
  const failures = ['authorization', 'end_session', 'grant', 'pushed_authorization_request', 'registration_create',
    'registration_read', 'registration_update', 'registration_delete', 'revocation', 'userinfo', 'server'];
  for (const where of failures) {
    built.on(where === 'server' ? 'server_error' : `${where}.error`, (ctx, error) => {
      seen.errors.push({ where, error: error.error ?? error.name, description: error.error_description ?? error.message });
    });
  }
  return built;
}

function listen(handle) {
  const server = createServer(handle);
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${server.address().port}`));
  });
}

let keys = [signingKey()];
let provider;
// Requests that are not answered yet.
let underWay = 0;
const issuer = await listen((request, response) => {
  underWay += 1;
  response.on('close', () => {
    underWay -= 1;
  });
  return provider.callback()(request, response);
});
provider = build();

// What a test asks: a POST of `{"do": …}` is answered with what the function returns.
const commands = {
  mint: () => new provider.InitialAccessToken({ expiresIn: hour }).save(),
  client: ({ id }) => store.all('Client').find((client) => client.client_id === id) ?? null,
  clients: () => store.all('Client').map((client) => client.client_id),
  initialAccessTokens: () => store.all('InitialAccessToken').length,
  refreshTokens: () => store.all('RefreshToken').map(({ id, consumed, accountId }) => ({
    token: id, accountId, consumed: Boolean(consumed),
  })),
  // No request sees two times: those under way are answered before.
  time: async ({ now }) => {
    while (underWay > 0) await soon();
    setTime(now);
  },
  sessions: () => store.all('Session').filter((session) => session.accountId).length,
  seen: () => seen,
  forgetSeen: () => {
    Object.assign(seen, { assertions: [], jwksFetches: 0, errors: [] });
  },
  endSessions: () => Promise.all(store.all('Session').map(({ id }) => store.adapter('Session').destroy(id))),
  // An administrator takes away what people have granted, and all tokens with it.
  revokeGrants: () => Promise.all(store.all('Grant').flatMap(({ id }) => [
    ...['AccessToken', 'RefreshToken'].map((model) => store.adapter(model).revokeByGrantId(id)),
    store.adapter('Grant').destroy(id),
  ])),
  // It starts again on what it has stored, and knows no key of a client any more that it had fetched.
  startAgain: () => {
    provider = build();
  },
  // A new key signs from now on; the old one stays published.
  rotateKeys: () => {
    keys = [signingKey(), ...keys];
    provider = build();
  },
};

const control = await listen(async (request, response) => {
  try {
    let body = '';
    for await (const chunk of request) body += chunk;
    const command = JSON.parse(body);
    response.end(JSON.stringify((await commands[command.do](command)) ?? null));
  } catch (error) {
    response.writeHead(500).end(JSON.stringify(String(error)));
  }
});

process.stdout.write(`${JSON.stringify({ issuer, control })}\n`);
process.stdin.resume().on('end', () => process.exit());
