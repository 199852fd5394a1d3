<?php
declare(strict_types=1);

require __DIR__ . '/page.php';

session_start();
$_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;

/** @param array<mixed> $fields */
function fields(string $title, array $fields): void
{
    if ($fields === []) {
        return;
    }
    echo '<h2>', h($title), '</h2><table><tbody>';
    foreach ($fields as $name => $value) {
        $shown = is_string($value) ? $value : (string) json_encode($value);
        echo '<tr><th scope="row">', h($name), '</th><td class="wrap">', nl2br(h($shown)), '</td></tr>';
    }
    echo '</tbody></table>';
}

page_start('Form', 'form.php');
?>
<div class="hero">
  <h1>Say something</h1>
  <p class="lead">What you send comes back, escaped.
    Your session has seen this page <strong><?= h($_SESSION['visits']) ?></strong>
    <?= $_SESSION['visits'] === 1 ? 'time' : 'times' ?>.</p>
</div>

<?php if ($_GET !== [] || $_POST !== []): ?>
<section class="card">
  <header><h2>Received</h2><p><?= h($_SERVER['REQUEST_METHOD']) ?>, <?= h(($_SERVER['CONTENT_LENGTH'] ?? '') ?: 0) ?> bytes of body</p></header>
  <?php fields('In the address', $_GET) ?>
  <?php fields('In the body', $_POST) ?>
</section>
<?php endif ?>

<section class="card">
  <form method="post" action="form.php">
    <label>Name <input name="name" autocomplete="name" value="<?= h(is_string($_POST['name'] ?? null) ? $_POST['name'] : '') ?>"></label>
    <label>Message <textarea name="message" rows="4"><?= h(is_string($_POST['message'] ?? null) ? $_POST['message'] : '') ?></textarea></label>
    <div class="actions">
      <button>Send with POST</button>
      <button class="second" formmethod="get">Send with GET</button>
    </div>
  </form>
</section>
<?php
page_end();
