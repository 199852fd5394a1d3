<?php
declare(strict_types=1);

// What all pages share.  Asked for directly it shows nothing.

/** Text made safe for HTML. */
function h(string|int|float $text): string
{
    return htmlspecialchars((string) $text, ENT_QUOTES | ENT_SUBSTITUTE | ENT_HTML5, 'UTF-8');
}

/** A number of bytes as a person reads it. */
function bytes(int|float $count): string
{
    foreach (['B', 'KB', 'MB'] as $unit) {
        if ($count < 1024) {
            return sprintf($unit === 'B' ? '%d %s' : '%.1f %s', $count, $unit);
        }
        $count /= 1024;
    }
    return sprintf('%.1f GB', $count);
}

function page_start(string $title, string $here): void
{
    $links = [
        'index.php' => 'Overview',
        'form.php' => 'Form',
        'upload.php' => 'Upload',
        'stream.php' => 'Stream',
        'info.php' => 'PHP info',
    ];
    header('Content-Type: text/html; charset=UTF-8');
    ?>
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title><?= h($title) ?> · kraal</title>
  <link rel="icon" href="/kraal.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/style.css">
</head>
<body>
<header class="top">
  <a class="brand" href="/"><img src="/kraal.svg" alt="" width="36" height="36"> kraal</a>
  <nav aria-label="Pages">
<?php foreach ($links as $link => $name): ?>
    <a href="/<?= h($link) ?>"<?= $link === $here ? ' aria-current="page"' : '' ?>><?= h($name) ?></a>
<?php endforeach ?>
  </nav>
</header>
<main>
<?php
}

function page_end(): void
{
    ?>
</main>
<footer>Served by PHP <?= h(PHP_VERSION) ?> in worker <?= h(getmypid()) ?>.</footer>
</body>
</html>
<?php
}
