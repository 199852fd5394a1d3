<?php
declare(strict_types=1);

require __DIR__ . '/page.php';

// Any address without a file arrives here; only the start page is one.
$path = parse_url($_SERVER['REQUEST_URI'] ?? '/', PHP_URL_PATH);
if (!in_array(rawurldecode((string) $path), ['/', '/index.php'], true)) {
    http_response_code(404);
    page_start('Not found', '');
    echo '<div class="hero"><h1>There is no such page</h1>',
        '<p class="lead"><code>', h((string) $path), '</code> is not here. ',
        'The <a href="/">overview</a> is.</p></div>';
    page_end();
    return;
}

$opcache = function_exists('opcache_get_status') ? @opcache_get_status(false) : false;

page_start('Overview', 'index.php');
?>
<div class="hero">
  <h1>PHP is running.</h1>
  <p class="lead">This page was made by PHP <?= h(PHP_VERSION) ?> in a worker of kraal.
    The figures below are from the worker itself; the table is live.</p>
</div>

<dl class="facts">
  <div>
    <dt>PHP</dt>
    <dd><?= h(PHP_VERSION) ?></dd>
    <dd>API <?= h(PHP_VERSION_ID) ?>, <?= h(count(get_loaded_extensions())) ?> extensions</dd>
  </div>
  <div>
    <dt>SAPI</dt>
    <dd><?= h(php_sapi_name()) ?></dd>
    <dd>as user <?= h(function_exists('posix_geteuid') ? (posix_getpwuid(posix_geteuid())['name'] ?? posix_geteuid()) : get_current_user()) ?></dd>
  </div>
  <div>
    <dt>Worker</dt>
    <dd><?= h(getmypid()) ?></dd>
    <dd><?= h(bytes(memory_get_peak_usage())) ?> at its peak</dd>
  </div>
  <div>
    <dt>OPcache</dt>
<?php if ($opcache !== false && $opcache['opcache_enabled']): ?>
    <dd><?= h(bytes($opcache['memory_usage']['used_memory'])) ?> <span class="pill good">up</span></dd>
    <dd><?= h(sprintf('%.0f', $opcache['opcache_statistics']['opcache_hit_rate'])) ?> % hits,
      scripts cached: <?= h($opcache['opcache_statistics']['num_cached_scripts']) ?></dd>
<?php else: ?>
    <dd><span class="pill busy">off</span></dd>
    <dd>scripts are compiled for each request</dd>
<?php endif ?>
  </div>
</dl>

<section class="card" aria-labelledby="workers">
  <header>
    <h2 id="workers">Workers</h2>
    <p id="pool" role="status">Asking the pool …</p>
  </header>
  <div class="scroll">
    <table>
      <thead>
        <tr><th>pid</th><th>State</th><th class="number">Requests</th><th>Last request</th>
          <th class="number wide">Took</th><th class="number wide">Memory</th></tr>
      </thead>
      <tbody id="processes"></tbody>
    </table>
  </div>
</section>

<section class="card" aria-labelledby="pages">
  <header><h2 id="pages">The pool's own pages</h2><p>the same as from php-fpm</p></header>
  <div class="actions">
    <a class="button" href="/status?html&amp;full">Status</a>
    <a class="button second" href="/status?full">as text</a>
    <a class="button second" href="/status?json&amp;full">as JSON</a>
    <a class="button second" href="/ping">Ping</a>
  </div>
</section>
<script src="/workers.js"></script>
<?php
page_end();
